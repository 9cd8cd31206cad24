//! The service of events, which reads messages of two sizes: a batch may be larger than one
//! message of a stream, of which there are many at once.

use std::task::{Context, Poll};

use rekindle_proto::v1::ingest_service_server::{IngestServiceServer, SERVICE_NAME};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::Request;
use tonic::server::NamedService;
use tower::Service;

use super::Ingest;
use crate::limits::{DECODE_LIMIT, ENCODE_LIMIT, STREAM_MESSAGE_LIMIT};

/// The service twice, each with a limit of its own.
#[derive(Clone)]
pub struct Sizes {
    batches: IngestServiceServer<Ingest>,
    streams: IngestServiceServer<Ingest>,
}

impl Sizes {
    /// The service behind its limits.
    pub fn new(ingest: &Ingest) -> Self {
        let reading = |limit| {
            IngestServiceServer::new(ingest.clone())
                .max_decoding_message_size(limit)
                .max_encoding_message_size(ENCODE_LIMIT)
                .accept_compressed(CompressionEncoding::Gzip)
        };
        Self { batches: reading(DECODE_LIMIT), streams: reading(STREAM_MESSAGE_LIMIT) }
    }
}

impl NamedService for Sizes {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for Sizes {
    type Response = <IngestServiceServer<Ingest> as Service<Request<Body>>>::Response;
    type Error = <IngestServiceServer<Ingest> as Service<Request<Body>>>::Error;
    type Future = <IngestServiceServer<Ingest> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Generated services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().ends_with("/StreamEvents") {
            self.streams.call(request)
        } else {
            self.batches.call(request)
        }
    }
}
