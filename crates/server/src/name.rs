//! Resource names: `workspaces/{workspace}/{collection}/{id}`, read and written.
//!
//! Ids that clients choose for conversations and customers can hold anything printable, so that
//! they stand percent-encoded inside names. Only the workspace `default` exists.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rekindle_core::funnel::validate::is_user_id;
use rekindle_core::scope::Scope;
use rekindle_core::violation::Violations;

use crate::status::ApiError;

/// The workspace that is always there.
pub const DEFAULT_WORKSPACE: &str = "default";

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longest id, in bytes.
const MOST_ID: usize = 128;

/// What a resource is, by the collection that its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collection {
    /// Funnels.
    Funnels,
    /// Conversations.
    Conversations,
    /// Customers.
    Customers,
    /// Sequences.
    Sequences,
    /// Destinations.
    Destinations,
    /// Runs of sequences.
    Runs,
    /// Deliveries.
    Deliveries,
    /// Suppressions.
    Suppressions,
    /// Replays.
    Replays,
}

impl Collection {
    /// The word that stands in names.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Funnels => "funnels",
            Self::Conversations => "conversations",
            Self::Customers => "customers",
            Self::Sequences => "sequences",
            Self::Destinations => "destinations",
            Self::Runs => "runs",
            Self::Deliveries => "deliveries",
            Self::Suppressions => "suppressions",
            Self::Replays => "replays",
        }
    }

    /// The word for one of them, between the braces of the pattern.
    const fn singular(self) -> &'static str {
        match self {
            Self::Funnels => "funnel",
            Self::Conversations => "conversation",
            Self::Customers => "customer",
            Self::Sequences => "sequence",
            Self::Destinations => "destination",
            Self::Runs => "run",
            Self::Deliveries => "delivery",
            Self::Suppressions => "suppression",
            Self::Replays => "replay",
        }
    }

    /// Whether users choose the ids under the rule of [`is_user_id`].
    const fn has_user_ids(self) -> bool {
        matches!(self, Self::Funnels | Self::Sequences | Self::Destinations)
    }

    /// The name of one of them, such as `workspaces/default/funnels/support`.
    pub fn name(self, id: &str) -> String {
        let id = utf8_percent_encode(id, ESCAPED);
        format!("workspaces/{DEFAULT_WORKSPACE}/{}/{id}", self.word())
    }

    /// Reads a name in the request's `field`: the workspace's scope, and the id, decoded.
    pub fn parse(self, name: &str, field: &str) -> Result<(Scope, String), ApiError> {
        let malformed = || {
            let pattern = format!("workspaces/{{workspace}}/{}/{{{}}}", self.word(), self.singular());
            ApiError::field(field, format!("takes a name of the form {pattern}"))
        };
        let (workspace, rest) = split_workspace(name).ok_or_else(malformed)?;
        let (word, encoded) = rest.split_once('/').ok_or_else(malformed)?;
        let id = (word == self.word()).then(|| decode(encoded)).flatten().ok_or_else(malformed)?;
        if self.has_user_ids() && !is_user_id(&id) {
            return Err(malformed());
        }
        Ok((scope(workspace)?, id))
    }

    /// Reads a name inside a definition; notes one that is malformed or of another workspace.
    pub fn parse_within(self, name: &str, field: &str, v: &mut Violations) -> String {
        match self.parse(name, field) {
            Ok((_, id)) => id,
            Err(ApiError::Invalid { violations, .. }) => {
                for violation in violations {
                    v.add(field, violation.message);
                }
                String::new()
            }
            Err(_) => {
                v.add(field, "is of a workspace that does not exist");
                String::new()
            }
        }
    }

    /// Reads an optional name: nothing when it is empty, which means any.
    pub fn parse_optional(self, name: &str, field: &str) -> Result<Option<String>, ApiError> {
        if name.is_empty() {
            return Ok(None);
        }
        self.parse(name, field).map(|(_, id)| Some(id))
    }
}

/// The name of the workspace that is always there.
pub fn workspace_name() -> String {
    format!("workspaces/{DEFAULT_WORKSPACE}")
}

/// Reads `workspaces/{workspace}` in the request's `field`.
pub fn parse_workspace(name: &str, field: &str) -> Result<Scope, ApiError> {
    match split_workspace(&format!("{name}/")) {
        Some((workspace, "")) => scope(workspace),
        _ => Err(ApiError::field(field, "takes a name of the form workspaces/{workspace}")),
    }
}

/// The name of a funnel's revision.
pub fn revision_name(funnel: &str, revision: i32) -> String {
    format!("{}/revisions/{revision}", Collection::Funnels.name(funnel))
}

/// Reads `workspaces/{workspace}/funnels/{funnel}/revisions/{revision}`.
pub fn parse_revision(name: &str, field: &str) -> Result<(Scope, String, i32), ApiError> {
    let malformed = || {
        ApiError::field(
            field,
            "takes a name of the form workspaces/{workspace}/funnels/{funnel}/revisions/{revision}",
        )
    };
    let (funnel, revision) = name.split_once("/revisions/").ok_or_else(malformed)?;
    let plain = revision.bytes().all(|byte| byte.is_ascii_digit()) && !revision.starts_with('0');
    let revision = plain.then(|| revision.parse().ok()).flatten().ok_or_else(malformed)?;
    let (scope, funnel) = Collection::Funnels.parse(funnel, field)?;
    Ok((scope, funnel, revision))
}

/// Reads the id that a caller chooses for a new resource, in the request's `field`.
pub fn parse_user_id(id: &str, field: &str) -> Result<(), ApiError> {
    if is_user_id(id) {
        return Ok(());
    }
    let rule = "takes 1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'";
    Err(ApiError::field(field, rule))
}

/// `workspaces/{workspace}/{rest}` as workspace and rest.
fn split_workspace(name: &str) -> Option<(&str, &str)> {
    let (workspace, rest) = name.strip_prefix("workspaces/")?.split_once('/')?;
    is_user_id(workspace).then_some((workspace, rest))
}

fn scope(workspace: &str) -> Result<Scope, ApiError> {
    if workspace == DEFAULT_WORKSPACE {
        Ok(Scope::of(workspace))
    } else {
        Err(ApiError::WorkspaceNotFound { name: format!("workspaces/{workspace}") })
    }
}

/// The id behind a percent-encoded segment: 1 to 128 printable bytes of UTF-8.
fn decode(segment: &str) -> Option<String> {
    if segment.contains('/') || !percents_are_whole(segment) {
        return None;
    }
    let id = percent_decode_str(segment).decode_utf8().ok()?;
    let printable = !id.is_empty() && id.len() <= MOST_ID && !id.chars().any(char::is_control);
    printable.then(|| id.into_owned())
}

/// Whether every `%` begins an escape, so that one spelling has one meaning.
fn percents_are_whole(segment: &str) -> bool {
    segment.split('%').skip(1).all(|after| {
        let bytes = after.as_bytes();
        bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(error: ApiError) -> String {
        match error {
            ApiError::Invalid { violations, .. } => violations[0].field.clone(),
            other => panic!("{other:?} names no field"),
        }
    }

    #[test]
    fn an_id_with_anything_printable_survives_its_name() {
        for id in ["c-17", "a/b", "50% off", "ada@example.com", "søren ü", "..", "~_-."] {
            let name = Collection::Conversations.name(id);
            let read = Collection::Conversations.parse(&name, "name").expect("our own spelling");
            assert_eq!(read, (Scope::of("default"), id.to_owned()), "{name}");
        }
    }

    #[test]
    fn names_are_spelt_as_documented() {
        assert_eq!(Collection::Funnels.name("support"), "workspaces/default/funnels/support");
        assert_eq!(Collection::Customers.name("a/b@c"), "workspaces/default/customers/a%2Fb%40c");
        assert_eq!(revision_name("support", 7), "workspaces/default/funnels/support/revisions/7");
    }

    #[test]
    fn a_malformed_name_is_refused_with_its_field() {
        let wrong = [
            "",
            "funnels/support",
            "workspaces/default",
            "workspaces/default/funnels",
            "workspaces/default/funnels/",
            "workspaces/default/funnels/Support",
            "workspaces/default/sequences/support",
            "workspaces/default/funnels/support/revisions/1",
            "workspaces//funnels/support",
        ];
        for name in wrong {
            let error = Collection::Funnels.parse(name, "funnel").expect_err(name);
            assert_eq!(field_of(error), "funnel", "{name}");
        }
        let encoded = ["%", "%4", "%zz", "a%0Ab", "%ff"];
        for id in encoded {
            let name = format!("workspaces/default/customers/{id}");
            let error = Collection::Customers.parse(&name, "name").expect_err(id);
            assert_eq!(field_of(error), "name", "{id}");
        }
    }

    #[test]
    fn another_workspace_is_not_found() {
        let error = parse_workspace("workspaces/other", "parent").expect_err("not there");
        assert!(matches!(error, ApiError::WorkspaceNotFound { name } if name == "workspaces/other"));
        let name = "workspaces/other/funnels/support";
        let error = Collection::Funnels.parse(name, "name").expect_err("not there");
        assert!(matches!(error, ApiError::WorkspaceNotFound { .. }));
    }

    #[test]
    fn revisions_are_whole_numbers_from_one() {
        let name = "workspaces/default/funnels/support/revisions/12";
        let read = parse_revision(name, "name").expect("a valid name");
        assert_eq!((read.1.as_str(), read.2), ("support", 12));
        for wrong in ["0", "01", "-1", "x", "", "99999999999"] {
            let name = format!("workspaces/default/funnels/support/revisions/{wrong}");
            assert_eq!(field_of(parse_revision(&name, "name").expect_err(wrong)), "name");
        }
    }
}
