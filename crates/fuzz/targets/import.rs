//! Import readers: whatever stands in a file, reading ends; every row makes an event that the
//! protos can carry, or says why it makes none; nothing unpacks without end.
#![no_main]

use std::io::{Cursor, Read};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;

#[path = "../../rekindle/src/import"]
mod import {
    #![expect(dead_code, reason = "the program uses more of it")]
    pub mod csv_rows;
    pub mod field;
    pub mod identity;
    pub mod instant;
    pub mod json_rows;
    pub mod lines;
    pub mod mapper;
    pub mod mapping;
    pub mod row;
    pub mod scalar;
    pub mod source;
}
/// Where the readers look for it.
#[path = "../../rekindle/src/cli"]
mod cli {
    pub mod canonical;
}

use import::csv_rows::CsvRows;
use import::identity::Identities;
use import::json_rows::JsonRows;
use import::lines::Lines;
use import::mapping::{Format, Mapping, Spec};
use import::row::Rows;
use import::source::{Caps, unpack};
use import::{instant, mapper};

/// Small, so that bombs are small too.
const CAPS: Caps = Caps { ratio: 100, free: 64 * 1024, total: 4 * 1024 * 1024 };

fuzz_target!(|input: (u8, &[u8])| {
    let (how, bytes) = input;
    let open = || unpack(Cursor::new(bytes.to_vec()), &Arc::default(), CAPS).expect("memory can be read");
    let mut all = Vec::new();
    if open().read_to_end(&mut all).is_ok() {
        assert!(all.len() as u64 <= CAPS.total.max(bytes.len() as u64), "{} bytes came out", all.len());
    }
    let format = [Format::Csv, Format::Jsonl, Format::Events][usize::from(how % 3)];
    let delimiter = [None, Some(','), Some(';'), Some('\t')][usize::from(how / 3 % 4)];
    let zone = ["UTC", "Australia/Lord_Howe", "America/St_Johns"][usize::from(how / 12 % 3)];
    let number_lines = Some(how >= 128);
    let spec =
        Spec { format: Some(format), delimiter, zone: Some(zone.into()), number_lines, ..Spec::default() };
    let mapping = Mapping::new(spec).expect("a mapping");
    let lines = Lines::new(open());
    let rows: Box<dyn Rows> = match format {
        Format::Csv => match CsvRows::new(lines, mapping.delimiter) {
            Ok(Ok(rows)) => Box::new(rows),
            Ok(Err(_)) | Err(_) => return,
        },
        Format::Jsonl | Format::Events => Box::new(JsonRows::new(lines)),
    };
    read(rows, &mapping);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let (form, text) = text.split_once('\n').unwrap_or(("%Y-%m-%d", text));
        let _ = instant::parse(text, &mapping.zone, None);
        let _ = instant::parse(text, &mapping.zone, Some(form));
        let _ = Spec::from_yaml(text).map(Mapping::new);
    }
});

fn read(mut rows: Box<dyn Rows>, mapping: &Mapping) {
    let mut identities = Identities::default();
    let mut last = 0;
    while let Ok(Some(row)) = rows.next() {
        assert!(row.line > last, "line {} after line {last}", row.line);
        last = row.line;
        let Ok(fields) = row.fields else {
            continue;
        };
        match mapper::event(mapping, row.line, &fields) {
            Ok(event) => {
                assert!(!identities.assign(&event, mapping.number_lines).is_empty());
                assert!(event.occur_time.is_some_and(|at| (0..1_000_000_000).contains(&at.nanos)));
            }
            Err(faults) => assert!(!faults.is_empty(), "a row without an event and without a fault"),
        }
    }
}
