"""A real mail server and a real webhook receiver, on loopback, that remember what they got."""

import base64
import email
import email.policy
import http.server
import secrets
import threading
from collections import Counter
from dataclasses import dataclass

from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook

from checks.service import free_port


@dataclass
class Mail:
    """A mail as the server took it."""

    sender: str
    recipients: list
    message: email.message.EmailMessage


class MailServer:
    """aiosmtpd on a port of its own; a context manager."""

    def __init__(self):
        self.port = free_port()
        self.mails = []
        self.connections = 0
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self):
        self.controller.start()
        return self

    def __exit__(self, *_):
        self.controller.stop()

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 taken"

    def count(self):
        """Mails by recipient."""
        return Counter(recipient for mail in list(self.mails) for recipient in mail.recipients)


@dataclass
class Call:
    """A webhook call, and what is wrong with its signature, if anything is."""

    id: str
    payload: object
    wrong: str


class WebhookReceiver:
    """An HTTP server that verifies every call with the Standard Webhooks library; a context manager."""

    def __init__(self, live_secrets=2):
        self.secrets = ["whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(live_secrets)]
        self.calls = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def take(self, body, headers):
        """Verifies a call against each live secret and remembers it."""
        payload, wrong = None, ""
        for secret in self.secrets:
            try:
                payload = Webhook(secret).verify(body, headers)
            except Exception as error:  # whatever the library objects to is wrong
                wrong = f"{type(error).__name__}: {error}"
        self.calls.append(Call(headers.get("webhook-id", ""), payload, wrong))

    def handler(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.take(body.decode(), {key.lower(): value for key, value in self.headers.items()})
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler
