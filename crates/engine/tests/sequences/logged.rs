//! What the log says of jobs that cannot go on: each time once.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use rekindle_core::time::SECOND;
use rekindle_engine::Creation;
use rekindle_ports::Store;
use rekindle_ports::store::replays::Covers;
use rekindle_testkit::{Fault, FaultyStore, databases};
use tokio_util::sync::CancellationToken;
use tracing::field::Field;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::house::{House, support};

/// Our own warnings, and worse, by what they say.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn said(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rekindle") && *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                said.push(format!("{value:?}"));
            }
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Another process over the same world, whose first commit breaks.
fn doomed(house: &House) -> House {
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&house.store), 0, Fault::Before));
    House::over(store, house.clock.clone(), Arc::clone(&house.courier), 2, 30 * SECOND)
}

/// What the log says until work that goes on until it is stopped has said something.
async fn heard(work: impl AsyncFnOnce(CancellationToken)) -> Vec<String> {
    let (log, stop) = (Log::default(), CancellationToken::new());
    let _listens = tracing::subscriber::set_default(log.clone());
    let listen = async {
        while log.said().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(work(stop.clone()), listen);
    log.said()
}

#[tokio::test]
async fn a_fill_that_cannot_go_on_is_logged_once() {
    for database in databases().await {
        let house = House::bare(&database);
        let how = Creation::default();
        house.engine.create_funnel(house.scope, "support", support(), how).await.expect("a good funnel");
        let doomed = doomed(&house);
        let said = heard(async |stop| doomed.engine.run_fills(doomed.scope, stop).await).await;
        assert_eq!(said, ["a fill could not go on"], "{}", database.name);
    }
}

#[tokio::test]
async fn a_replay_that_cannot_go_on_is_logged_once() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let run = house.fail_the_run(600).await;
        let covers = Covers::Run(run);
        house.engine.create_replay(house.scope, covers, Creation::default()).await.expect("it failed");
        let doomed = doomed(&house);
        let said = heard(async |stop| doomed.engine.run_replays(doomed.scope, stop).await).await;
        assert_eq!(said, ["a replay could not go on"], "{}", database.name);
    }
}
