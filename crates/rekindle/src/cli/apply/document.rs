//! Reads definition files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rekindle_proto::v1;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::schema::Schema;
use super::substitute::substitute;
use crate::cli::kind::Kind;
use crate::cli::{Failure, names};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Kinds that can stand in a file.
const KINDS: [Kind; 5] =
    [Kind::Workspace, Kind::Suppression, Kind::Destination, Kind::Funnel, Kind::Sequence];

/// One definition, with where it stands.
#[derive(Debug)]
pub struct Document {
    /// The file, and which of its documents.
    pub source: String,
    /// Id of the resource; empty for suppressions.
    pub id: String,
    /// What it says.
    pub definition: Definition,
}

/// What a document says.
#[derive(Debug)]
pub enum Definition {
    /// Settings of a workspace.
    Workspace(v1::Workspace),
    /// Somebody not to write to.
    Suppression(v1::Suppression),
    /// A destination, with its secrets.
    Destination(v1::Destination),
    /// A funnel and how to publish it.
    Funnel(Box<FunnelDefinition>),
    /// A sequence and how to publish it.
    Sequence(Box<SequenceDefinition>),
}

/// A funnel and how to publish it.
#[derive(Debug, Default)]
pub struct FunnelDefinition {
    /// The funnel.
    pub funnel: v1::Funnel,
    /// What happens to live journeys; [`v1::LivePolicy`].
    pub live_policy: i32,
    /// What becomes of stages that go away.
    pub stage_map: BTreeMap<String, String>,
}

/// A sequence and how to publish it.
#[derive(Debug, Default)]
pub struct SequenceDefinition {
    /// The sequence.
    pub sequence: v1::Sequence,
    /// What happens to runs under way; [`v1::RunPolicy`].
    pub run_policy: i32,
    /// Where runs go on whose step goes away.
    pub step_map: BTreeMap<String, String>,
}

impl Definition {
    /// The kind of the resource. Kinds are ordered by what builds on what.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Workspace(_) => Kind::Workspace,
            Self::Suppression(_) => Kind::Suppression,
            Self::Destination(_) => Kind::Destination,
            Self::Funnel(_) => Kind::Funnel,
            Self::Sequence(_) => Kind::Sequence,
        }
    }
}

/// Reads every document of every file; all faults are told together.
pub fn read_all(
    paths: &[PathBuf],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Document>, Failure> {
    let schema = Schema::load();
    let mut documents = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        for file in files(path, &mut BTreeSet::new())? {
            let text = read(&file)?;
            for (source, body) in split(&file, &text)? {
                match parse(&schema, &source, body, variable) {
                    Ok(document) => documents.push(document),
                    Err(mut found) => faults.append(&mut found),
                }
            }
        }
    }
    faults.extend(twice(&documents));
    if !faults.is_empty() {
        return Err(Failure::Invalid(faults.join("\n")));
    }
    if documents.is_empty() {
        return Err(Failure::Invalid("no definitions found".to_owned()));
    }
    Ok(documents)
}

/// The files behind a path: itself, or those in a directory and below it, by name. Links can lead
/// back to a directory: `seen` holds those that were looked into, and none is twice.
fn files(path: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: io::Error| Failure::Invalid(format!("{}: {error}", path.display()));
    if !seen.insert(path.canonicalize().map_err(unreadable)?) {
        return Ok(Vec::new());
    }
    let mut entries = fs::read_dir(path)
        .map_err(unreadable)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, io::Error>>()
        .map_err(unreadable)?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let defines = entry
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if !hidden && entry.is_dir() {
            found.extend(files(&entry, seen)?);
        } else if !hidden && defines {
            found.push(entry);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: io::Error| Failure::Invalid(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(unreadable)?)
    };
    source.by_ref().take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::Invalid(format!("{}: is larger than {MAX_FILE} bytes", path.display())));
    }
    Ok(text)
}

/// The documents of a file with their sources. JSON is YAML too.
fn split(path: &Path, text: &str) -> Result<Vec<(String, Value)>, Failure> {
    let mut documents = Vec::new();
    for (at, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let source = format!("{}, document {}", path.display(), at + 1);
        let value =
            Value::deserialize(document).map_err(|error| Failure::Invalid(format!("{source}: {error}")))?;
        if !value.is_null() {
            documents.push((source, value));
        }
    }
    if let [(source, _)] = documents.as_mut_slice() {
        *source = path.display().to_string();
    }
    Ok(documents)
}

/// Reads one document, or tells every fault of it.
fn parse(
    schema: &Schema,
    source: &str,
    body: Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Document, Vec<String>> {
    let fault = |what: String| vec![format!("{source}: {what}")];
    let Value::Object(mut fields) = body else {
        return Err(fault("is no mapping".to_owned()));
    };
    let kind = take_kind(&mut fields).map_err(fault)?;
    let id = take_id(kind, &mut fields).map_err(fault)?;
    let mut beside = |name: &str, of: Kind| fields.remove(name).filter(|_| kind == of);
    let (live_policy, stage_map) = (beside("livePolicy", Kind::Funnel), beside("stageMap", Kind::Funnel));
    let (run_policy, step_map) = (beside("runPolicy", Kind::Sequence), beside("stepMap", Kind::Sequence));
    let mut body = Value::Object(fields);
    let mut faults = Vec::new();
    if matches!(kind, Kind::Destination | Kind::Workspace) {
        faults.extend(substitute(&mut body, variable));
    }
    faults.extend(schema.check(kind.word(), &body));
    if !faults.is_empty() {
        return Err(faults.into_iter().map(|found| format!("{source}: {found}")).collect());
    }
    let definition = match kind {
        Kind::Workspace => message(body).map(Definition::Workspace),
        Kind::Suppression => message(body).map(Definition::Suppression),
        Kind::Destination => message(body).map(Definition::Destination),
        Kind::Sequence => sequence(body, run_policy, step_map).map(|it| Definition::Sequence(Box::new(it))),
        _ => funnel(body, live_policy, stage_map).map(|funnel| Definition::Funnel(Box::new(funnel))),
    };
    Ok(Document { source: source.to_owned(), id, definition: definition.map_err(fault)? })
}

fn take_kind(fields: &mut Map<String, Value>) -> Result<Kind, String> {
    let known = || KINDS.map(Kind::word).join(", ");
    match fields.remove("kind") {
        Some(Value::String(word)) => KINDS
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or_else(|| format!("kind: `{word}` is none of {}", known())),
        Some(_) => Err(format!("kind: must be one of {}", known())),
        None => Err(format!("kind: is missing; one of {}", known())),
    }
}

/// The id, from `id` or from the end of `name`.
fn take_id(kind: Kind, fields: &mut Map<String, Value>) -> Result<String, String> {
    let mut text = |key: &str| match fields.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("{key}: must be text")),
    };
    let (id, name) = (text("id")?, text("name")?);
    match (id, name) {
        (Some(_), Some(_)) => Err("id: `name` says it already".to_owned()),
        (Some(id), None) => Ok(id),
        (None, Some(name)) => Ok(names::short(&name)),
        (None, None) if kind == Kind::Suppression => Ok(String::new()),
        (None, None) if kind == Kind::Workspace => Ok("default".to_owned()),
        (None, None) => Err("id: is missing".to_owned()),
    }
}

fn message<T: DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| error.to_string())
}

fn funnel(
    body: Value,
    live_policy: Option<Value>,
    stage_map: Option<Value>,
) -> Result<FunnelDefinition, String> {
    let known = |word: &str| v1::LivePolicy::from_str_name(word).map(i32::from);
    Ok(FunnelDefinition {
        live_policy: policy("livePolicy", live_policy, known)?,
        stage_map: map("stageMap", stage_map)?,
        funnel: message(body)?,
    })
}

fn sequence(
    body: Value,
    run_policy: Option<Value>,
    step_map: Option<Value>,
) -> Result<SequenceDefinition, String> {
    let known = |word: &str| v1::RunPolicy::from_str_name(word).map(i32::from);
    Ok(SequenceDefinition {
        run_policy: policy("runPolicy", run_policy, known)?,
        step_map: map("stepMap", step_map)?,
        sequence: message(body)?,
    })
}

/// The number of a policy, by its name; 0 where none is said.
fn policy(field: &str, value: Option<Value>, known: impl Fn(&str) -> Option<i32>) -> Result<i32, String> {
    match value {
        None => Ok(0),
        Some(Value::String(word)) => known(&word).ok_or_else(|| format!("{field}: `{word}` is not known")),
        Some(_) => Err(format!("{field}: must be text")),
    }
}

fn map(field: &str, value: Option<Value>) -> Result<BTreeMap<String, String>, String> {
    match value {
        None => Ok(BTreeMap::new()),
        Some(map) => message(map).map_err(|error| format!("{field}: {error}")),
    }
}

/// Resources that are defined more than once.
fn twice(documents: &[Document]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    documents
        .iter()
        .filter(|document| !document.id.is_empty())
        .filter(|document| !seen.insert((document.definition.kind(), &document.id)))
        .map(|document| {
            let kind = document.definition.kind().word();
            format!("{}: {kind} `{}` is defined twice", document.source, document.id)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Document>, String> {
        let schema = Schema::load();
        let variable = |name: &str| (name == "PASSWORD").then(|| "s3cret".to_owned());
        let mut documents = Vec::new();
        for (source, body) in split(Path::new("x.yaml"), text).map_err(|failure| failure.to_string())? {
            let document = parse(&schema, &source, body, &variable).map_err(|faults| faults.join("\n"))?;
            documents.push(document);
        }
        Ok(documents)
    }

    #[test]
    fn documents_of_several_kinds_stand_in_one_file() {
        let documents = read_text(
            "kind: Funnel\nid: support\nlivePolicy: LIVE_POLICY_MIGRATE\nstageMap: {old: new}\n\
             stages: [{id: a, enter: [{eventTypes: [x]}], stall: {after: 1200s}}]\n---\n\
             kind: Destination\nname: workspaces/default/destinations/mail\n\
             smtp: {host: mx.invalid, password: \"${PASSWORD}\"}\n",
        )
        .expect("two definitions");
        assert_eq!(documents.len(), 2);
        let Definition::Funnel(wanted) = &documents[0].definition else {
            panic!("a funnel: {:?}", documents[0]);
        };
        assert_eq!(documents[0].source, "x.yaml, document 1");
        assert_eq!(wanted.live_policy, i32::from(v1::LivePolicy::Migrate));
        assert_eq!(wanted.stage_map.get("old").map(String::as_str), Some("new"));
        let Definition::Destination(v1::Destination {
            kind: Some(v1::destination::Kind::Smtp(smtp)), ..
        }) = &documents[1].definition
        else {
            panic!("a mail server: {:?}", documents[1]);
        };
        assert_eq!(documents[1].id, "mail");
        assert_eq!(smtp.password, "s3cret");
    }

    #[test]
    fn a_stage_may_try_out_targets() {
        let documents = read_text(
            "kind: Funnel\nid: support\nstages:\n- id: a\n  stall: {after: 3600s}\n  targetExperiment:\n    \
             id: faster\n    arms:\n    - {id: hour, after: 3600s, weight: 1}\n    \
             - {id: half, after: 1800s, weight: 1}\n",
        )
        .expect("a definition");
        let Definition::Funnel(wanted) = &documents[0].definition else {
            panic!("a funnel: {:?}", documents[0]);
        };
        let experiment = wanted.funnel.stages[0].target_experiment.as_ref().expect("as written");
        assert_eq!((experiment.id.as_str(), experiment.arms.len()), ("faster", 2));
        assert_eq!(experiment.arms[1].after.expect("a target").seconds, 1_800);
    }

    #[test]
    fn a_sequence_says_what_becomes_of_its_runs() {
        let documents = read_text(
            "kind: Sequence\nid: nudge\nrunPolicy: RUN_POLICY_MIGRATE\nstepMap: {old: \"\"}\nsteps: []\n",
        )
        .expect("a definition");
        let Definition::Sequence(wanted) = &documents[0].definition else {
            panic!("a sequence: {:?}", documents[0]);
        };
        assert_eq!(wanted.run_policy, i32::from(v1::RunPolicy::Migrate));
        assert_eq!(wanted.step_map.get("old").map(String::as_str), Some(""));
        let wrong = |field: &str| {
            let text = format!("kind: Sequence\nid: nudge\n{field}\nsteps: []\n");
            read_text(&text).expect_err("a wrong field")
        };
        assert_eq!(wrong("runPolicy: MAYBE"), "x.yaml: runPolicy: `MAYBE` is not known");
        assert_eq!(wrong("runPolicy: 7"), "x.yaml: runPolicy: must be text");
        assert!(wrong("stepMap: 7").starts_with("x.yaml: stepMap: "));
    }

    #[test]
    fn every_unknown_field_is_told_with_its_file_and_its_path() {
        let faults =
            read_text("kind: Funnel\nid: a\nstages:\n- id: x\n  entre: []\n- stal: {}\nstagse: []\n")
                .expect_err("typos");
        assert_eq!(
            faults,
            "x.yaml: stages[0].entre: unknown field; did you mean `enter`?\n\
             x.yaml: stages[1].stal: unknown field; did you mean `stall`?\n\
             x.yaml: stagse: unknown field; did you mean `stages`?"
        );
    }

    #[test]
    fn a_document_without_kind_or_id_is_refused() {
        assert!(read_text("id: a\n").expect_err("no kind").contains("kind: is missing"));
        assert_eq!(read_text("kind: Funnel\n").expect_err("no id"), "x.yaml: id: is missing");
        assert!(read_text("kind: Run\nid: a\n").expect_err("no such kind").contains("`Run`"));
    }

    #[test]
    fn a_secret_that_is_not_set_is_told_by_its_name() {
        let fault =
            read_text("kind: Destination\nid: a\nsmtp: {password: \"${ABSENT}\"}\n").expect_err("not set");
        assert_eq!(fault, "x.yaml: smtp.password: environment variable ABSENT is not set");
    }

    #[test]
    fn a_resource_defined_twice_is_refused() {
        let documents =
            read_text("kind: Sequence\nid: a\n---\nkind: Sequence\nid: a\n").expect("well-formed");
        assert_eq!(twice(&documents), ["x.yaml, document 2: Sequence `a` is defined twice"]);
    }
}
