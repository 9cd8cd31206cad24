//! Funnels as a client sees them.

use pbjson_types::FieldMask;
use rekindle_proto::v1;
use tonic::Code;

use crate::harness::{Server, WORKSPACE, fields, reason, two_stages};

const NAME: &str = "workspaces/default/funnels/support";

fn create(id: &str, funnel: v1::Funnel) -> v1::CreateFunnelRequest {
    v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: id.into(),
        funnel: Some(funnel),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_funnel_is_created_read_changed_and_deleted() {
    let server = Server::start().await;
    let created = server.with_funnel("support").await;
    assert_eq!((created.name.as_str(), created.revision), (NAME, 1));
    assert_eq!(created.display_name, "support");

    let mut funnels = server.funnels();
    let read = funnels.get_funnel(v1::GetFunnelRequest { name: NAME.into() }).await.expect("it is there");
    assert_eq!(read.into_inner().funnel.as_ref(), Some(&created));

    let change = v1::UpdateFunnelRequest {
        funnel: Some(v1::Funnel { name: NAME.into(), notes: "new".into(), ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec!["notes".into()] }),
        ..Default::default()
    };
    let changed = funnels.update_funnel(change).await.expect("a valid change").into_inner();
    let changed = changed.funnel.expect("the funnel as published");
    assert_eq!((changed.revision, changed.notes.as_str()), (2, "new"));
    assert_eq!(changed.stages, created.stages);

    let stale = v1::DeleteFunnelRequest { name: NAME.into(), etag: created.etag };
    let refused = funnels.delete_funnel(stale).await.expect_err("the etag is old");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::Aborted, "STALE_ETAG"));

    let delete = v1::DeleteFunnelRequest { name: NAME.into(), etag: changed.etag };
    funnels.delete_funnel(delete).await.expect("the etag is the newest");
    let refused =
        funnels.get_funnel(v1::GetFunnelRequest { name: NAME.into() }).await.expect_err("it is gone");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::NotFound, "FUNNEL_NOT_FOUND"));
    assert_eq!(details.resource_info().expect("a resource").resource_name, NAME);
}

#[tokio::test]
async fn revisions_are_listed_newest_first_and_read_one_by_one() {
    let server = Server::start().await;
    server.with_funnel("support").await;
    let mut funnels = server.funnels();
    let change = v1::UpdateFunnelRequest {
        funnel: Some(v1::Funnel { name: NAME.into(), notes: "new".into(), ..Default::default() }),
        live_policy: v1::LivePolicy::Migrate.into(),
        ..Default::default()
    };
    funnels.update_funnel(change).await.expect("a valid change");

    let list = v1::ListFunnelRevisionsRequest { parent: NAME.into(), page_size: 1, ..Default::default() };
    let first = funnels.list_funnel_revisions(list.clone()).await.expect("it is there").into_inner();
    assert_eq!(first.revisions[0].name, format!("{NAME}/revisions/2"));
    assert_eq!(first.revisions[0].live_policy(), v1::LivePolicy::Migrate);
    let next = v1::ListFunnelRevisionsRequest { page_token: first.next_page_token, ..list };
    let last = funnels.list_funnel_revisions(next).await.expect("our own token").into_inner();
    assert_eq!(last.revisions[0].name, format!("{NAME}/revisions/1"));
    assert_eq!(last.next_page_token, "");

    let missing = v1::GetFunnelRevisionRequest { name: format!("{NAME}/revisions/3") };
    let refused = funnels.get_funnel_revision(missing).await.expect_err("there are two");
    let (why, details) = reason(&refused);
    assert_eq!(why, "FUNNEL_REVISION_NOT_FOUND");
    assert_eq!(details.resource_info().expect("a resource").resource_name, format!("{NAME}/revisions/3"));
}

#[tokio::test]
async fn every_wrong_field_of_a_definition_is_named_at_once() {
    let server = Server::start().await;
    let mut funnel = two_stages();
    funnel.stages[0].id = "Asked".into();
    funnel.stages[1].enter[0].r#where = "event.".into();
    funnel.description = "x".repeat(5_000);
    let refused = server.funnels().create_funnel(create("support", funnel)).await.expect_err("three fields");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "FUNNEL_INVALID"));
    let mut named = fields(&refused);
    named.sort();
    assert_eq!(named, ["funnel.description", "funnel.stages[0].id", "funnel.stages[1].enter[0].where"]);
}

#[tokio::test]
async fn an_id_is_taken_once_and_a_check_takes_none() {
    let server = Server::start().await;
    let mut funnels = server.funnels();
    let check = v1::CreateFunnelRequest { validate_only: true, ..create("support", two_stages()) };
    funnels.create_funnel(check).await.expect("a valid funnel");
    server.with_funnel("support").await;
    let refused = funnels.create_funnel(create("support", two_stages())).await.expect_err("taken");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::AlreadyExists, "FUNNEL_EXISTS"));
}

#[tokio::test]
async fn funnels_are_listed_by_name_page_by_page() {
    let server = Server::start().await;
    for id in ["c", "a", "b"] {
        server.with_funnel(id).await;
    }
    let mut funnels = server.funnels();
    let mut request = v1::ListFunnelsRequest { parent: WORKSPACE.into(), page_size: 2, ..Default::default() };
    let first = funnels.list_funnels(request.clone()).await.expect("a page").into_inner();
    request.page_token = first.next_page_token;
    let last = funnels.list_funnels(request).await.expect("a page").into_inner();
    let names: Vec<_> = first.funnels.iter().chain(&last.funnels).map(|funnel| funnel.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c"].map(|id| format!("workspaces/default/funnels/{id}")));
    assert_eq!(last.next_page_token, "");
}

#[tokio::test]
async fn every_template_makes_a_funnel_that_reads_as_it_was_shown() {
    let server = Server::start().await;
    let mut funnels = server.funnels();
    let list = v1::ListFunnelTemplatesRequest { parent: WORKSPACE.into(), ..Default::default() };
    let templates = funnels.list_funnel_templates(list).await.expect("templates").into_inner().templates;
    assert!(!templates.is_empty());
    for template in templates {
        let make = v1::CreateFunnelFromTemplateRequest {
            parent: WORKSPACE.into(),
            template: template.template.clone(),
            funnel_id: template.template.clone(),
            ..Default::default()
        };
        let made = funnels.create_funnel_from_template(make).await.expect("a valid template").into_inner();
        let made = made.funnel.expect("the funnel as created");
        assert_eq!(Some(made.stages), template.funnel.map(|funnel| funnel.stages), "{}", template.template);
    }
    let unknown = v1::CreateFunnelFromTemplateRequest {
        parent: WORKSPACE.into(),
        template: "suport".into(),
        funnel_id: "support".into(),
        ..Default::default()
    };
    let refused = funnels.create_funnel_from_template(unknown).await.expect_err("a slip of the pen");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::NotFound, "TEMPLATE_NOT_FOUND"));
}

#[tokio::test]
async fn a_repeated_create_is_answered_as_the_first() {
    let server = Server::start().await;
    let mut funnels = server.funnels();
    let once = |funnel| v1::CreateFunnelRequest { request_id: "r-1".into(), ..create("support", funnel) };
    let first = funnels.create_funnel(once(two_stages())).await.expect("new").into_inner();
    server.test.clock.advance(rekindle_core::time::HOUR);
    let again = funnels.create_funnel(once(two_stages())).await.expect("a repeat").into_inner();
    assert_eq!(again, first);
    let other = v1::Funnel { notes: "other".into(), ..two_stages() };
    let refused = funnels.create_funnel(once(other)).await.expect_err("other content");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));

    let from_template = |template: &str| v1::CreateFunnelFromTemplateRequest {
        parent: WORKSPACE.into(),
        funnel_id: "journey".into(),
        template: template.into(),
        request_id: "r-2".into(),
        ..Default::default()
    };
    let templates = funnels
        .list_funnel_templates(v1::ListFunnelTemplatesRequest {
            parent: WORKSPACE.into(),
            ..Default::default()
        })
        .await
        .expect("there are some")
        .into_inner()
        .templates;
    let (one, another) = (from_template(&templates[0].template), from_template(&templates[1].template));
    let first = funnels.create_funnel_from_template(one.clone()).await.expect("new").into_inner();
    let again = funnels.create_funnel_from_template(one).await.expect("a repeat").into_inner();
    assert_eq!(again, first);
    let refused = funnels.create_funnel_from_template(another).await.expect_err("another template");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}
