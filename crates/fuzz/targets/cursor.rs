//! Cursors and names: a token that is not ours is refused, and a name means one thing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rekindle_core::Timestamp;
use rekindle_proto::v1::{ListFunnelsRequest, ListRunsRequest};
use rekindle_server::name::{Collection, parse_revision, parse_workspace};
use rekindle_server::page::{Page, Pager};

const COLLECTIONS: [Collection; 9] = [
    Collection::Funnels,
    Collection::Conversations,
    Collection::Customers,
    Collection::Sequences,
    Collection::Destinations,
    Collection::Runs,
    Collection::Deliveries,
    Collection::Suppressions,
    Collection::Replays,
];

fuzz_target!(|text: &str| {
    let pager = Pager::new([7; 32]);
    let funnels = ListFunnelsRequest { page_token: text.to_owned(), ..Default::default() };
    if let Ok(page) = pager.read::<String>("ListFunnels", &funnels) {
        assert!(text.is_empty() || ours(&page, text), "a forged token: {text:?}");
    }
    let runs = ListRunsRequest { page_token: text.to_owned(), ..Default::default() };
    if let Ok(page) = pager.read::<(Timestamp, String)>("ListRuns", &runs) {
        assert!(text.is_empty() || ours(&page, text), "a forged token: {text:?}");
    }
    // A token of ours holds whatever the cursor is, and for nothing else.
    let first: Page<String> =
        pager.read("ListFunnels", &ListFunnelsRequest::default()).expect("the first page");
    let token = first.token(&text.to_owned());
    let next = ListFunnelsRequest { page_token: token.clone(), ..Default::default() };
    match pager.read::<String>("ListFunnels", &next) {
        Ok(page) => assert_eq!(page.after.as_deref(), Some(text)),
        Err(_) => assert!(token.len() > 4_096, "our own token was refused"),
    }
    assert!(pager.read::<String>("ListSequences", &next).is_err(), "a token of another method was taken");
    for collection in COLLECTIONS {
        if let Ok((_, id)) = collection.parse(text, "name") {
            assert_eq!(collection.parse(&collection.name(&id), "name").expect("our own name").1, id);
            assert!(!id.is_empty() && id.len() <= 128 && !id.chars().any(char::is_control), "{id:?}");
        }
    }
    let _ = (parse_revision(text, "name"), parse_workspace(text, "parent"));
});

/// Whether the page would give this token for where it starts.
fn ours<C: serde::Serialize>(page: &Page<C>, token: &str) -> bool {
    page.after.as_ref().is_some_and(|after| page.token(after) == token)
}
