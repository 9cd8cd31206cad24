//! The kinds of resources, and the columns that tell them in a table.

use clap::ValueEnum;
use serde_json::Value;

use crate::cli::names;
use crate::cli::output::Sheet;
use crate::render::table::Align;

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// What holds for everything
    #[value(alias = "workspaces")]
    Workspace,
    /// Who is not written to
    #[value(name = "suppressions", alias = "suppression")]
    Suppression,
    /// Mail servers and webhooks
    #[value(name = "destinations", alias = "destination")]
    Destination,
    /// Funnels
    #[value(name = "funnels", alias = "funnel")]
    Funnel,
    /// Recovery sequences
    #[value(name = "sequences", alias = "sequence")]
    Sequence,
    /// Conversations
    #[value(name = "conversations", alias = "conversation")]
    Conversation,
    /// Customers
    #[value(name = "customers", alias = "customer")]
    Customer,
    /// Runs of sequences
    #[value(name = "runs", alias = "run")]
    Run,
    /// What was sent
    #[value(name = "deliveries", alias = "delivery")]
    Delivery,
    /// Failures that are done again
    #[value(name = "replays", alias = "replay")]
    Replay,
}

/// How a cell is told.
#[derive(Debug, Clone, Copy)]
enum Cell {
    /// As it is.
    Text,
    /// The id at the end of a resource name.
    Id,
    /// An enum value without this prefix, in lower case.
    Word(&'static str),
    /// How many items.
    Count,
    /// A number.
    Number,
}

/// A column: its header, where its value is found (the first path that leads somewhere), and how
/// it is told.
type Column = (&'static str, &'static [&'static str], Cell);

impl Kind {
    /// The word between the workspace and the id in names; empty for the workspace itself.
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Workspace => "",
            Self::Suppression => "suppressions",
            Self::Destination => "destinations",
            Self::Funnel => "funnels",
            Self::Sequence => "sequences",
            Self::Conversation => "conversations",
            Self::Customer => "customers",
            Self::Run => "runs",
            Self::Delivery => "deliveries",
            Self::Replay => "replays",
        }
    }

    /// The word in `kind:` of definition files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Workspace => "Workspace",
            Self::Suppression => "Suppression",
            Self::Destination => "Destination",
            Self::Funnel => "Funnel",
            Self::Sequence => "Sequence",
            Self::Conversation => "Conversation",
            Self::Customer => "Customer",
            Self::Run => "Run",
            Self::Delivery => "Delivery",
            Self::Replay => "Replay",
        }
    }

    /// The full name of the resource that `typed` means.
    pub fn name(self, workspace: &str, typed: &str) -> String {
        if self == Self::Workspace {
            let id = typed.strip_prefix("workspaces/").unwrap_or(typed);
            return format!("workspaces/{id}");
        }
        names::full(workspace, self.collection(), typed)
    }

    /// The rows of a table of these resources, given as proto JSON.
    pub fn rows(self, values: &[Value]) -> Sheet {
        let columns = self.columns();
        Sheet {
            header: columns.iter().map(|(header, ..)| (*header).to_owned()).collect(),
            cells: values
                .iter()
                .map(|value| columns.iter().map(|column| cell(value, column)).collect())
                .collect(),
            aligns: columns
                .iter()
                .map(|(.., how)| match how {
                    Cell::Count | Cell::Number => Align::Right,
                    _ => Align::Left,
                })
                .collect(),
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Workspace => &[
                ("name", &["name"], Cell::Id),
                ("display name", &["displayName"], Cell::Text),
                ("zone", &["defaultZone"], Cell::Text),
                ("sender", &["sender.address"], Cell::Text),
                ("calendars", &["calendars"], Cell::Count),
            ],
            Self::Suppression => &[
                ("name", &["name"], Cell::Id),
                ("who", &["address", "domain", "customer"], Cell::Text),
                ("reason", &["reason"], Cell::Word("SUPPRESSION_REASON_")),
                ("since", &["createTime"], Cell::Text),
                ("note", &["note"], Cell::Text),
            ],
            Self::Destination => &[
                ("name", &["name"], Cell::Id),
                ("state", &["state"], Cell::Word("STATE_")),
                ("goes to", &["smtp.host", "webhook.url"], Cell::Text),
                ("why", &["disableReason"], Cell::Word("DISABLE_REASON_")),
                ("updated", &["updateTime"], Cell::Text),
            ],
            Self::Funnel => &[
                ("name", &["name"], Cell::Id),
                ("display name", &["displayName"], Cell::Text),
                ("subject", &["subject"], Cell::Word("SUBJECT_KIND_")),
                ("stages", &["stages"], Cell::Count),
                ("revision", &["revision"], Cell::Number),
                ("updated", &["updateTime"], Cell::Text),
            ],
            Self::Sequence => &[
                ("name", &["name"], Cell::Id),
                ("state", &["state"], Cell::Word("STATE_")),
                ("funnel", &["trigger.funnel"], Cell::Id),
                ("stage", &["trigger.stage"], Cell::Text),
                ("on", &["trigger.on"], Cell::Word("SILENCE_KIND_")),
                ("steps", &["steps"], Cell::Count),
                ("revision", &["revision"], Cell::Number),
            ],
            Self::Conversation => &[
                ("name", &["name"], Cell::Id),
                ("customer", &["customer"], Cell::Id),
                ("state", &["state"], Cell::Word("STATE_")),
                ("owed by", &["owedBy"], Cell::Word("OWED_BY_")),
                ("events", &["eventCount"], Cell::Number),
                ("last event", &["lastEventTime"], Cell::Text),
            ],
            Self::Customer => &[
                ("name", &["name"], Cell::Id),
                ("conversations", &["conversationCount"], Cell::Number),
                ("events", &["eventCount"], Cell::Number),
                ("last event", &["lastEventTime"], Cell::Text),
            ],
            Self::Run => &[
                ("name", &["name"], Cell::Id),
                ("sequence", &["sequence"], Cell::Id),
                ("subject", &["conversation", "customer"], Cell::Id),
                ("stage", &["trigger.stage"], Cell::Text),
                ("on", &["trigger.kind"], Cell::Word("SILENCE_KIND_")),
                ("state", &["state"], Cell::Word("STATE_")),
                ("why", &["endReason"], Cell::Word("RUN_END_REASON_")),
                ("next", &["nextTime"], Cell::Text),
            ],
            Self::Delivery => &[
                ("name", &["name"], Cell::Id),
                ("kind", &["kind"], Cell::Word("DELIVERY_KIND_")),
                ("to", &["recipient"], Cell::Text),
                ("state", &["state"], Cell::Word("STATE_")),
                ("attempts", &["attempts"], Cell::Count),
                ("why", &["reason"], Cell::Text),
                ("updated", &["updateTime"], Cell::Text),
            ],
            Self::Replay => &[
                ("name", &["name"], Cell::Id),
                ("state", &["state"], Cell::Word("STATE_")),
                ("of", &["delivery", "run", "failures.sequence", "failures.destination"], Cell::Id),
                ("failures", &["totalCount"], Cell::Number),
                ("replayed", &["replayedCount"], Cell::Number),
                ("skipped", &["skippedCount"], Cell::Number),
                ("began", &["createTime"], Cell::Text),
                ("ended", &["endTime"], Cell::Text),
            ],
        }
    }
}

fn cell(value: &Value, (_, paths, how): &Column) -> String {
    let Some(found) = paths.iter().find_map(|path| at(value, path)) else {
        return match how {
            Cell::Count | Cell::Number => "0".to_owned(),
            _ => String::new(),
        };
    };
    match how {
        Cell::Text | Cell::Number => plain(found),
        Cell::Id => names::short(&plain(found)),
        Cell::Word(prefix) => {
            let text = plain(found);
            text.strip_prefix(prefix).unwrap_or(&text).to_lowercase()
        }
        Cell::Count => match found {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        }
        .to_string(),
    }
}

/// The value at a dotted path.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_destination_is_told_by_its_host_or_its_url() {
        let values = [
            json!({"name": "workspaces/default/destinations/mail", "smtp": {"host": "mx.invalid"}, "state": "STATE_ENABLED"}),
            json!({"name": "workspaces/default/destinations/hook", "webhook": {"url": "https://h.invalid"},
                   "state": "STATE_DISABLED", "disableReason": "DISABLE_REASON_GONE", "updateTime": "2026-01-02T03:04:05+00:00"}),
        ];
        assert_eq!(
            Kind::Destination.rows(&values).cells,
            [
                vec!["mail", "enabled", "mx.invalid", "", ""],
                vec!["hook", "disabled", "https://h.invalid", "gone", "2026-01-02T03:04:05+00:00"],
            ]
        );
    }

    #[test]
    fn a_replay_is_told_by_what_it_is_about_its_state_and_its_counts() {
        let values = [
            json!({"name": "workspaces/default/replays/r-1", "state": "STATE_DONE",
                   "failures": {"period": {"startTime": "2026-01-02T03:04:05+00:00"},
                                "sequence": "workspaces/default/sequences/nudge"},
                   "totalCount": "1200", "doneCount": "1200", "replayedCount": "1150", "skippedCount": "50",
                   "createTime": "2026-01-03T03:04:05+00:00", "endTime": "2026-01-03T03:05:05+00:00"}),
            json!({"name": "workspaces/default/replays/r-2", "state": "STATE_RUNNING",
                   "run": "workspaces/default/runs/u-1", "totalCount": "1",
                   "createTime": "2026-01-03T03:04:05+00:00"}),
        ];
        let (began, ended) = ("2026-01-03T03:04:05+00:00", "2026-01-03T03:05:05+00:00");
        assert_eq!(
            Kind::Replay.rows(&values).cells,
            [
                vec!["r-1", "done", "nudge", "1200", "1150", "50", began, ended],
                vec!["r-2", "running", "u-1", "1", "0", "0", began, ""],
            ]
        );
    }

    #[test]
    fn numbers_of_proto_json_are_counted_even_when_they_are_absent() {
        let values = [json!({"name": "workspaces/default/customers/a%20b", "eventCount": "12"})];
        assert_eq!(Kind::Customer.rows(&values).cells, [vec!["a b", "0", "12", ""]]);
    }
}
