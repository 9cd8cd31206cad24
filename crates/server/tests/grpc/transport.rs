//! Health, reflection and gRPC-Web.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse as FileDescriptors;

use crate::harness::Server;

#[tokio::test]
async fn health_says_what_the_process_says() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.channel.clone());
    server.services.health().set_service_status("", ServingStatus::NotServing).await;
    let answer = health.check(HealthCheckRequest::default()).await.expect("an answer");
    assert_eq!(
        answer.into_inner().status(),
        tonic_health::pb::health_check_response::ServingStatus::NotServing
    );
}

#[tokio::test]
async fn reflection_lists_the_public_services_in_both_versions() {
    let server = Server::start().await;
    let request = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel.clone());
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().next().await.expect("an answer").expect("no refusal");
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answer.message_response
    else {
        panic!("no list of services");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()));
    assert!(names.contains(&"rekindle.v1.FunnelService".to_owned()));
    assert!(names.iter().all(|name| !name.starts_with("grpc.reflection")), "{names:?}");

    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "rekindle.v1.FunnelService".into(),
        )),
        ..Default::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel.clone());
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
    let answer = answers.into_inner().next().await.expect("an answer").expect("no refusal");
    assert!(matches!(answer.message_response, Some(FileDescriptors(_))));
}

#[tokio::test]
async fn a_browser_calls_over_http_1() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    // An empty message: one byte of flags and four of length.
    let request = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: localhost\r\n\
                   content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n\
                   content-length: 5\r\nconnection: close\r\n\r\n\0\0\0\0\0";
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/grpc-web+proto"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
}
