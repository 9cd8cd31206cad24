"""The program under test: its command line in one place, started, waited for and stopped."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checks.report import Failed
from checks.wait import until

WORKSPACE = "workspaces/default"
# Time for a start on an empty database in a debug build on a busy machine.
START_SECONDS = 90
STOP_SECONDS = 30
CHANNEL = [("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0)]


def serve_command(binary):
    """`rekindle serve`; everything else comes from the environment."""
    return [str(binary), "serve"]


def serve_settings(database, port, http_port):
    """Listen on loopback, and bring the schema up to date first."""
    return {
        "REKINDLE__DATABASE__URL": database,
        "REKINDLE__DATABASE__MIGRATE": "true",
        "REKINDLE__SERVER__LISTEN": f"127.0.0.1:{port}",
        "REKINDLE__HTTP__LISTEN": f"127.0.0.1:{http_port}",
    }


def import_arguments(file):
    """`rekindle import` of a file of events, one JSON object a line, perhaps gzipped."""
    return ["import", "--format", "events", str(file)]


def loopback_settings(webhook_ports, recipients):
    """Settings that open what is closed by default: named recipients, and webhooks on loopback."""
    return {
        "REKINDLE__DELIVERY__ALLOW_RECIPIENTS": json.dumps(recipients),
        "REKINDLE__DELIVERY__ALLOW_NETWORKS": json.dumps(["127.0.0.0/8"]),
        "REKINDLE__DELIVERY__ALLOW_PORTS": json.dumps(webhook_ports),
        "REKINDLE__DELIVERY__ALLOW_HTTP": "true",
        # Nobody has to be turned away first.
        "REKINDLE__SERVER__NOTICE_SECONDS": "0",
    }


def free_port():
    """A port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A running `rekindle serve`; a context manager."""

    def __init__(self, binary, database, settings=None):
        self.binary = Path(binary).resolve()
        self.port = free_port()
        self.http_port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        settings = serve_settings(database, self.port, self.http_port) | (settings or {})
        self.environment = clean_environment() | settings
        self.process = None
        self.channel = None

    def __enter__(self):
        self.log = tempfile.TemporaryFile(mode="w+b")
        self.process = subprocess.Popen(
            serve_command(self.binary),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=self.environment,
        )
        self.channel = grpc.insecure_channel(self.address, options=CHANNEL)
        try:
            until("the service is healthy", self.started, START_SECONDS)
        except Failed as error:
            self.stop()
            raise Failed(f"{error}\n{self.tail()}") from None
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if error is not None:
            print(self.tail(), flush=True)

    def started(self):
        """Whether it answers that it is healthy; raises when it has ended."""
        if self.process.poll() is not None:
            raise Failed(f"the service ended with {self.process.returncode}")
        return self.health() == health_pb2.HealthCheckResponse.SERVING

    def health(self, service=""):
        """What the health service says, or None when it does not answer."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        try:
            return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status
        except grpc.RpcError:
            return None

    def stop(self):
        """Ends it as an operator would; kills it if that is not heard."""
        if self.channel:
            self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tail(self, lines=40):
        """The end of what it wrote."""
        self.log.seek(0)
        text = self.log.read().decode(errors="replace").splitlines()
        return "\n".join(f"      | {line}" for line in text[-lines:])

    def import_file(self, file, seconds=1800):
        """Imports a file of events through the command line."""
        self.run(*import_arguments(file), seconds=seconds)

    def run(self, *arguments, seconds=60):
        """Runs another command of the program against this service; what it printed on stdout."""
        done = subprocess.run(
            [str(self.binary), *arguments, "--address", f"http://{self.address}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean_environment(),
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
            raise Failed(f"{arguments[0]} ended with {done.returncode}: {said}")
        return done.stdout.decode()


def clean_environment():
    """The environment without anything that configures the program or leads it to a proxy."""
    drop = ("REKINDLE", "TEST_DATABASE_URL", "DATABASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {key: value for key, value in os.environ.items() if not key.upper().startswith(drop)}
