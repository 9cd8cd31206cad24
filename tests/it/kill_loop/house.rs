//! What surrounds a service and can fail: its database, and those to whom it writes, each behind a
//! proxy.

use rekindle_testkit::database::{OwnDatabase, empty_on, postgres_server};
use rekindle_testkit::{OwnServer, Proxy};
use tokio::task::block_in_place;

use crate::arrivals::Arrivals;
use crate::database::{self, Database};
use crate::desk::Ports;
use crate::mailbox::Mailbox;
use crate::receiver::Receiver;
use crate::service::Settings;

/// Bytes of a commit, as sqlx sends it.
const COMMIT: &[u8] = b"COMMIT";
/// Bytes of a signed call.
const CALL: &[u8] = b"webhook-id";
/// The end of a mail.
const FINAL_DOT: &[u8] = b"\r\n.\r\n";

/// Whose replies can be swallowed: what was asked is done, and reported as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Of a commit.
    Database,
    /// Of a call.
    Http,
    /// Of a mail.
    Smtp,
}

/// The surroundings of a service.
pub struct House {
    /// The webhook receiver.
    pub receiver: Receiver,
    /// The mail server.
    pub mailbox: Mailbox,
    http: Proxy,
    smtp: Proxy,
    home: Home,
}

/// Where the database is.
enum Home {
    /// In a file, with nothing in between.
    File(Database),
    /// On a server of its own; dropped in this order.
    Server { database: OwnDatabase, proxy: Proxy, server: OwnServer },
}

impl House {
    /// Surroundings with an `SQLite` file.
    pub async fn with_file() -> Self {
        Self::with(Home::File(database::sqlite())).await
    }

    /// Surroundings with a `PostgreSQL` server of their own; `None`, and that is said, when
    /// `PostgreSQL` is not asked for or not installed here.
    pub async fn with_server() -> Option<Self> {
        postgres_server()?;
        let Some(server) = block_in_place(OwnServer::start) else {
            eprintln!("postgres: skipped (the programs of a server are not installed)");
            return None;
        };
        let (database, _) = empty_on(server.url()).await;
        let proxy = Proxy::to(server.address()).await;
        Some(Self::with(Home::Server { database, proxy, server }).await)
    }

    async fn with(home: Home) -> Self {
        let (receiver, mailbox) = (Receiver::start().await, Mailbox::start().await);
        let http = Proxy::to(receiver.address()).await;
        let smtp = Proxy::to(mailbox.address()).await;
        Self { receiver, mailbox, http, smtp, home }
    }

    /// A service in these surroundings.
    pub fn settings(&self) -> Settings {
        let url = match &self.home {
            Home::File(database) => database.url.clone(),
            Home::Server { database, proxy, server } => {
                database.url().replace(&server.address().to_string(), &format!("127.0.0.1:{}", proxy.port()))
            }
        };
        Settings::of_url(&url).reaching(self.ports())
    }

    /// Where the desk's sequence sends to.
    pub fn ports(&self) -> Ports {
        Ports { hook: self.http.port(), mail: Some(self.smtp.port()) }
    }

    /// Everything that arrived.
    pub fn arrivals(&self) -> [&Arrivals; 2] {
        [self.receiver.arrivals(), self.mailbox.arrivals()]
    }

    /// How many messages arrived.
    pub fn arrived(&self) -> usize {
        self.arrivals().map(|arrivals| arrivals.all().len()).iter().sum()
    }

    /// Whether there is a server that can die, with connections that can be cut.
    pub fn has_server(&self) -> bool {
        matches!(self.home, Home::Server { .. })
    }

    /// Swallows the next reply on a wire; nothing happens where there is no wire.
    pub fn swallow(&self, wire: Wire) {
        if let Some((proxy, what)) = self.wire(wire) {
            proxy.swallow_replies(what, 1);
        }
    }

    /// Lets every request on a wire have its reply again.
    pub fn answer(&self, wire: Wire) {
        if let Some((proxy, _)) = self.wire(wire) {
            proxy.answer();
        }
    }

    /// How many replies were swallowed on a wire so far.
    pub fn swallowed(&self, wire: Wire) -> u64 {
        self.wire(wire).map_or(0, |(proxy, _)| proxy.swallowed())
    }

    fn wire(&self, wire: Wire) -> Option<(&Proxy, &'static [u8])> {
        match (wire, &self.home) {
            (Wire::Http, _) => Some((&self.http, CALL)),
            (Wire::Smtp, _) => Some((&self.smtp, FINAL_DOT)),
            (Wire::Database, Home::Server { proxy, .. }) => Some((proxy, COMMIT)),
            (Wire::Database, Home::File(_)) => None,
        }
    }

    /// Resets every connection to the database.
    pub fn cut(&self) {
        if let Home::Server { proxy, .. } = &self.home {
            proxy.reset();
        }
    }

    /// Kills the database server and starts it again; returns when it has recovered.
    pub fn kill_server(&self) {
        if let Home::Server { server, .. } = &self.home {
            block_in_place(|| {
                server.kill();
                server.start_again();
            });
        }
    }
}
