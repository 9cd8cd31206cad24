//! The gate: an id for every call, a bound on how many run, a deadline, and an answer even
//! when a handler panics.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use rekindle_engine::{Engine, budget};
use rekindle_proto::v1::ErrorReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::answered::{self, Unsent};
use super::call_id::{CallId, HEADER};
use super::faults::{Faults, panicked};
use super::{asked, deadline, foreign};
use crate::limits::CallLimits;
use crate::status::ApiError;

#[cfg(test)]
mod tests;

/// When a call that finds no place is told to come again.
pub(super) const COME_AGAIN: Duration = Duration::from_millis(500);

/// Puts a [`Gate`] before a service.
#[derive(Clone)]
pub struct GateLayer {
    engine: Engine,
    limits: CallLimits,
    faults: Faults,
    ingest: Arc<Semaphore>,
    others: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

impl GateLayer {
    /// A gate that lets in as many calls as `limits` say, over all connections.
    pub fn new(engine: Engine, limits: CallLimits, faults: Faults) -> Self {
        let places = |most| Arc::new(Semaphore::new(most));
        Self {
            engine,
            limits,
            faults,
            ingest: places(limits.ingest_calls),
            others: places(limits.other_calls),
            streams: places(limits.streams),
            memory: places(limits.request_bytes),
        }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, rules: self.clone() }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    rules: GateLayer,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that was polled ready is used; its clone stays for the next call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rules = self.rules.clone();
        async move {
            let id = CallId::read(request.headers(), rules.engine.minter());
            request.extensions_mut().insert(id.clone());
            let outcome = rules.pass(&mut inner, request).await;
            let mut response = match outcome {
                Ok(response) => foreign::replaced(response, id.as_str()),
                Err(refusal) => refusal.into_status(id.as_str()).into_http(),
            };
            rules.faults.note_head(response.headers());
            if let Ok(value) = HeaderValue::from_str(id.as_str()) {
                response.headers_mut().insert(HEADER, value);
            }
            Ok(response)
        }
        .boxed()
    }
}

/// How a call is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Always: health is answered however busy the service is.
    Health,
    /// Among the streams; it keeps its place until the last answer.
    Stream,
    /// Among the batches of events, when its message is there.
    Ingest,
    /// Among the others, when its message is there.
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        match path.trim_start_matches('/').split_once('/') {
            Some(("grpc.health.v1.Health", _)) => Self::Health,
            Some((_, "StreamEvents" | "ServerReflectionInfo")) => Self::Stream,
            Some(("rekindle.v1.IngestService", _)) => Self::Ingest,
            _ => Self::Other,
        }
    }
}

impl GateLayer {
    async fn pass<S>(&self, inner: &mut S, request: Request<Body>) -> Result<Response<Body>, ApiError>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let entries = request.headers().len();
        if entries > self.limits.metadata_entries {
            return Err(ApiError::TooManyEntries { limit: self.limits.metadata_entries });
        }
        let left = deadline::read(request.headers(), &self.limits)?;
        let answer = budget::within(left, self.answer(inner, request));
        let answer = AssertUnwindSafe(answer).catch_unwind();
        match tokio::time::timeout(left, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(panicked(panic)),
            Err(_) => Err(ApiError::DeadlineExceeded),
        }
    }

    async fn answer<S>(&self, inner: &mut S, request: Request<Body>) -> Result<Response<Body>, ApiError>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let places = match Kind::of(request.uri().path()) {
            Kind::Health => return called(inner, request).await,
            Kind::Stream => {
                let place = self.place(&self.streams).await?;
                return called(inner, request).await.map(|response| keeping(place, response));
            }
            Kind::Ingest => &self.ingest,
            Kind::Other => &self.others,
        };
        let unsent = request.extensions().get::<Unsent>().cloned();
        let (request, _memory) = asked::read(request, &self.memory).await?;
        let _place = self.place(places).await?;
        answered::write(called(inner, request).await?, unsent).await
    }

    async fn place(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
        match tokio::time::timeout(self.limits.queued, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // Nobody closes the semaphore, so that only the time can be up.
            Ok(Err(_)) | Err(_) => {
                Err(ApiError::Limited { reason: ErrorReason::Overloaded, retry_after: COME_AGAIN })
            }
        }
    }
}

async fn called<S>(inner: &mut S, request: Request<Body>) -> Result<Response<Body>, ApiError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let Ok(response) = inner.call(request).await;
    Ok(response)
}

/// The response, holding its place until its body goes.
fn keeping(place: OwnedSemaphorePermit, response: Response<Body>) -> Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &place;
            frame
        }))
    })
}
