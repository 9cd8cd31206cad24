//! A witness in the database: triggers that note every write to what replicas claim and work on.
//!
//! What it notes, and what it complains of, stands in `witness.sql`. Each replica says who it is by
//! a setting of its connections, which it is given with the URL of the database.

use rekindle_testkit::Sql;

/// The triggers, and the question what they saw that should not be.
const CALLED: &str = include_str!("witness.sql");
/// Complaints that are told.
const TOLD: usize = 50;

/// The witness of a database.
pub struct Witness(Sql);

impl Witness {
    /// Has a database watched from now on that has its schema.
    pub async fn call(url: &str) -> Self {
        let sql = Sql::open(url).await;
        sql.execute(CALLED).await;
        Self(sql)
    }

    /// How a replica reaches the database so that it is known by the name of `writer`.
    pub fn url(url: &str, writer: &str) -> String {
        let sign = if url.contains('?') { '&' } else { '?' };
        format!("{url}{sign}options[witness.replica]={writer}")
    }

    /// Tells it how a writer signs its claims.
    pub async fn meet(&self, writer: &str, owner: &str) {
        self.0.execute(&format!("INSERT INTO witness.replicas VALUES ('{writer}', '{owner}')")).await;
    }

    /// Writes as if `writer` had.
    pub async fn forge(&self, writer: &str, write: &str) {
        let forged = format!("BEGIN; SET LOCAL witness.replica = '{writer}'; {write}; COMMIT");
        self.0.execute(&forged).await;
    }

    /// What should not have been written, some of it; empty when all was well.
    pub async fn complaints(&self) -> Vec<String> {
        // Or its joins are planned for a handful of rows.
        self.0.execute("ANALYZE witness.writes").await;
        self.0.texts(&format!("SELECT * FROM witness.complaints() LIMIT {TOLD}")).await
    }

    /// How many claims passed from one replica to another: of timers, runs and messages.
    pub async fn takeovers(&self) -> [i64; 3] {
        let mut counts = [0; 3];
        for (count, place) in counts.iter_mut().zip(["timers", "runs", "deliveries"]) {
            let taken = format!("SELECT count(*) FROM witness.takeovers WHERE place = '{place}'");
            *count = self.0.number(&taken).await;
        }
        counts
    }

    /// How many writes it noted.
    pub async fn noted(&self) -> i64 {
        self.0.number("SELECT count(*) FROM witness.writes").await
    }
}
