//! Whole files, from bytes to batches.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::mapping::Spec;
use super::*;

struct Outcome {
    events: Vec<v1::Event>,
    rejected: Vec<Rejected>,
    batches: usize,
}

fn read(mapping: &str, files: &[&[u8]], batch: usize) -> Result<Outcome, ReadError> {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = files.iter().enumerate().map(|(at, bytes)| {
        let path = directory.path().join(at.to_string());
        fs::write(&path, bytes).expect("a file");
        path
    });
    let plan = Plan {
        files: paths.collect(),
        mapping: Mapping::new(Spec::from_yaml(mapping).expect("YAML")).expect("a mapping"),
        batch,
        keep_rows: true,
    };
    let mut outcome = Outcome { events: Vec::new(), rejected: Vec::new(), batches: 0 };
    read_all(&plan, &Progress::default(), &mut |produced| {
        match produced {
            Produced::Batch(batch) => {
                outcome.batches += 1;
                outcome.events.extend(batch.events);
            }
            Produced::Rejected(rejected) => outcome.rejected.push(rejected),
        }
        ControlFlow::Continue(())
    })?;
    Ok(outcome)
}

const JSONL: &[u8] =
    b"\n{\"id\":\"a\",\"type\":\"x\",\"conversation\":\"c\",\"occurTime\":\"2026-01-01T00:00:00Z\"}\n\
    not json\n\
    {\"type\":\"x\",\"conversation\":\"c\",\"occurTime\":\"2026-01-01T00:00:00Z\"}\n\
    {\"type\":\"x\",\"conversation\":\"c\",\"occurTime\":\"2026-01-01T00:00:00Z\"}\n\
    {\"type\":\"x\",\"conversation\":\"c\"}\n";

#[test]
fn good_rows_become_events_and_wrong_ones_are_told_with_their_lines() {
    let outcome = read("{}", &[JSONL], 2).expect("a file");
    assert_eq!(outcome.events.len(), 3);
    assert_eq!(outcome.batches, 2);
    assert_eq!(outcome.events[0].id, "a");
    assert_ne!(outcome.events[1].id, outcome.events[2].id);
    let lines: Vec<u64> = outcome.rejected.iter().map(|rejected| rejected.line).collect();
    assert_eq!(lines, [3, 6]);
    assert_eq!(outcome.rejected[1].violations[0].field, "occurred_at");
    assert!(outcome.rejected[1].fields.is_some());
}

#[test]
fn a_gzipped_file_reads_like_the_plain_one_and_again_like_itself() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(JSONL).expect("memory takes it");
    let packed = encoder.finish().expect("memory takes it");
    let plain = read("{}", &[JSONL], 500).expect("a file");
    let unpacked = read("{}", &[&packed], 500).expect("a file");
    assert_eq!(plain.events, unpacked.events);
}

#[test]
fn equal_rows_of_two_files_are_one_event() {
    let outcome = read("{}", &[JSONL, JSONL], 500).expect("files");
    assert_eq!(outcome.events[1].id, outcome.events[4].id);
    assert_eq!(outcome.events[2].id, outcome.events[5].id);
}

#[test]
fn csv_is_known_by_its_first_line_and_must_have_the_columns_that_are_named() {
    let csv = b"case;when;what\nc1;2026-01-01 08:00:00;x\n";
    let mapping = "map: {conversation: case, occurred_at: when, type: what}";
    let outcome = read(mapping, &[csv], 500).expect("a file");
    assert_eq!(outcome.events[0].conversation, "c1");
    assert_eq!(outcome.events[0].properties, None);
    let error = read("map: {conversation: ticket}", &[csv], 500).err().expect("no such column");
    assert!(error.to_string().ends_with("has no column ticket; its columns are case, when, what"), "{error}");
}

#[test]
fn a_receiver_that_breaks_off_is_given_nothing_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows");
    fs::write(&path, JSONL).expect("a file");
    let plan = Plan {
        files: vec![path],
        mapping: Mapping::new(Spec::default()).expect("a mapping"),
        batch: 1,
        keep_rows: false,
    };
    let progress = Progress::default();
    let mut received = 0;
    read_all(&plan, &progress, &mut |_| {
        received += 1;
        ControlFlow::Break(())
    })
    .expect("a file");
    assert_eq!(received, 1);
    assert!(progress.rows.load(Ordering::Relaxed) < 5);
}
