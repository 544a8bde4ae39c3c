//! TensorBoard event files of a run: `tensorboard/NAME/events.out.tfevents.…`, one folder per dictionary, a copy of what
//! `metrics.jsonl` says. (`tensorboard --logdir RUN/tensorboard`.)
//!
//! Record: length (u64, little endian), its masked CRC-32C, data, their masked CRC-32C. Data: the protobuf message
//!   Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7 }
//!   Summary { repeated Value value = 1 }    Value { string tag = 1; float simple_value = 2 }
//!   SessionLog { enum status = 1 }          START = 1: what an earlier file says of this step and later ones does not count
//! Written by hand, because that is shorter than the manifest of a crate for it. Each start of a run begins a new file, so
//! that a file cut short by a kill hurts nobody. The files hold wall times: like `timing.jsonl` they are no part of the
//! bytes that a plan determines, and nothing of ours reads them.

use lapidary_trainer::Health;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The event files of one start of a run.
pub struct EventFiles {
    folder: PathBuf,
    /// What the files of this start are called, in every dictionary's folder.
    file: String,
}

impl EventFiles {
    /// Begins a file for every dictionary; `step` is the first step that follows.
    pub fn begin(run: &Path, dictionaries: &[&str], step: u64) -> io::Result<EventFiles> {
        let folder = run.join("tensorboard");
        let next = dictionaries.iter().map(|name| next_in(&folder.join(name))).max().unwrap_or(0);
        // TensorBoard reads files in the order of their names.
        let files = EventFiles { folder, file: format!("{PREFIX}{next:010}") };
        for name in dictionaries {
            std::fs::create_dir_all(files.folder.join(name))?;
            let mut start = event(0);
            bytes(&mut start, 3, b"brain.Event:2");
            files.append(name, &start)?;
            let mut start = event(step);
            bytes(&mut start, 7, &[tag(1, VARINT), 1]);
            files.append(name, &start)?;
        }
        Ok(files)
    }

    /// Every number of a line of the log, under its name.
    pub fn add(&self, line: &Health) -> io::Result<()> {
        let mut summary = Vec::new();
        let Ok(Value::Object(fields)) = serde_json::to_value(line) else { return Ok(()) };
        for (name, value) in fields.iter().filter(|(name, _)| *name != "step") {
            if let Some(number) = value.as_f64() {
                bytes(&mut summary, 1, &scalar(name, number as f32));
            }
        }
        let mut data = event(line.step);
        bytes(&mut data, 5, &summary);
        self.append(&line.dictionary, &data)
    }

    fn append(&self, dictionary: &str, data: &[u8]) -> io::Result<()> {
        let path = self.folder.join(dictionary).join(&self.file);
        OpenOptions::new().create(true).append(true).open(path)?.write_all(&record(data))
    }
}

/// What a file of ours is called, before its number.
const PREFIX: &str = "events.out.tfevents.";

/// The number after those of the files that are there, whatever else is: what is there is never written into.
fn next_in(folder: &Path) -> u64 {
    let names = folder.read_dir().into_iter().flatten().flatten().map(|e| e.file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix(PREFIX)?.parse::<u64>().ok();
    names.filter_map(number).max().map_or(0, |last| last.saturating_add(1))
}

/// Protobuf's wire types.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

fn tag(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes(out: &mut Vec<u8>, field: u8, data: &[u8]) {
    out.push(tag(field, BYTES));
    varint(out, data.len() as u64);
    out.extend(data);
}

/// An Event of now, without its content.
fn event(step: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mut out = vec![tag(1, FIXED_64)];
    out.extend(now.to_le_bytes());
    out.push(tag(2, VARINT));
    varint(&mut out, step);
    out
}

/// A Value.
fn scalar(name: &str, value: f32) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, name.as_bytes());
    out.push(tag(2, FIXED_32));
    out.extend(value.to_le_bytes());
    out
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(crc32c(&length)).to_le_bytes(), data, &masked(crc32c(data)).to_le_bytes()].concat()
}

/// So that a checksum of data that hold checksums is no special case.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (RFC 3720, B.4), bit by bit: a hundred bytes now and then.
fn crc32c(data: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (REVERSED_POLYNOMIAL * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4, and the check value of the CRC catalogues.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The first bytes of every event file that TensorFlow writes: the length of a version event of 24 bytes and its mask.
    #[test]
    fn a_record_is_framed_as_tensorflow_frames_it() {
        let record = record(&[0; 24]);
        assert_eq!(record.len(), 8 + 4 + 24 + 4);
        assert_eq!(record[..12], [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
    }

    /// Protobuf by hand: 1.5 is 0x3fc00000, "l0" two bytes, step 300 a varint of two bytes.
    #[test]
    fn an_event_is_the_message_that_the_schema_describes() {
        assert_eq!(scalar("l0", 1.5), [0x0a, 2, b'l', b'0', 0x15, 0, 0, 0xc0, 0x3f]);
        let event = event(300);
        assert_eq!((event[0], event.len()), (0x09, 9 + 3));
        assert_eq!(event[9..], [0x10, 0xac, 0x02]);
        let mut summary = Vec::new();
        bytes(&mut summary, 5, &[7; 200]);
        assert_eq!(summary[..3], [0x2a, 0xc8, 0x01]);
    }

    #[test]
    fn each_start_begins_a_file_and_says_where_it_begins() {
        let run = tempfile::tempdir().unwrap();
        for step in [0, 200] {
            EventFiles::begin(run.path(), &["a", "b"], step).unwrap();
        }
        for name in ["a", "b"] {
            let read = |n: u32| {
                std::fs::read(run.path().join(format!("tensorboard/{name}/events.out.tfevents.{n:010}")))
                    .unwrap()
            };
            // The second record ends with: step 200, session_log { status: START }, and a checksum.
            let second = read(1);
            assert_eq!(second[second.len() - 11..][..7], [0x10, 0xc8, 0x01, 0x3a, 2, 0x08, 1]);
            assert_eq!(read(0).len(), second.len() - 1);
        }
    }

    /// Somebody's files are neither counted nor written into.
    #[test]
    fn a_start_writes_into_no_file_that_is_there() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("tensorboard/a");
        std::fs::create_dir_all(&folder).unwrap();
        let odd = ["events.out.tfevents.0000000001", "of-a-person.txt", "events.out.tfevents.x"];
        odd.iter().for_each(|name| std::fs::write(folder.join(name), b"\xffodd").unwrap());
        EventFiles::begin(run.path(), &["a"], 300).unwrap();
        assert!(odd.iter().all(|name| std::fs::read(folder.join(name)).unwrap() == b"\xffodd"));
        assert!(folder.join("events.out.tfevents.0000000002").is_file());
    }
}
