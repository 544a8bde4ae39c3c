//! `metrics.jsonl` as it is found on resume: it may have been cut, edited or replaced since. Training needs none of it, so
//! that whatever is found is told and kept, and new lines go on below it.

use lapidary_files::FileError;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// Longest line that is looked into, bytes; ours are far shorter.
const MAX_LINE: usize = 1 << 16;

/// What was found.
#[derive(Debug, PartialEq)]
pub(crate) struct Inspected {
    /// Bytes of whole lines, at most those asked for.
    pub whole: u64,
    /// What is odd about them.
    pub odd: Option<String>,
}

/// Looks at the first `expected` bytes of a log, which are to be lines of JSON. Each is shown to `each`, and no more than one is held.
pub(crate) fn inspect(
    path: &Path,
    expected: u64,
    each: &mut dyn FnMut(&[u8]),
) -> Result<Inspected, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(cut(path, expected, 0, 0)),
        Err(e) => return Err(FileError::io(path, "open")(e)),
    };
    let mut reader = BufReader::new(file.take(expected));
    let (mut whole, mut seen, mut number, mut odd) = (0, 0, 0u64, None);
    loop {
        let (line, length, ended) = next_line(&mut reader).map_err(FileError::io(path, "read"))?;
        seen += length;
        if !ended {
            let left = Inspected { whole, odd };
            return Ok(if seen == expected && length == 0 { left } else { cut(path, expected, seen, whole) });
        }
        (whole, number) = (seen, number + 1);
        each(&line);
        let is_json = serde_json::from_slice::<serde_json::Map<_, _>>(&line).is_ok();
        if !is_json && odd.is_none() {
            odd = Some(message(path, "JSON in every line", &format!("something else in line {number}")));
        }
    }
}

/// A log that ends before it should, or within a line.
fn cut(path: &Path, expected: u64, found: u64, whole: u64) -> Inspected {
    let found = if found < expected { format!("{found}") } else { "a line without end".into() };
    let odd = message(path, &format!("{expected} bytes of lines"), &found);
    Inspected { whole, odd: (expected > 0).then_some(odd) }
}

fn message(path: &Path, expected: &str, found: &str) -> String {
    format!(
        "{}: expected {expected} from before the checkpoint, found {found}; the log goes on below what is left of it",
        path.display()
    )
}

/// The next line (its first bytes), its length, and whether it has an end.
fn next_line(reader: &mut impl BufRead) -> std::io::Result<(Vec<u8>, u64, bool)> {
    let (mut line, mut length) = (Vec::new(), 0);
    loop {
        let chunk = reader.fill_buf()?;
        let end = chunk.iter().position(|&b| b == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        let room = MAX_LINE - line.len();
        line.extend_from_slice(&chunk[..taken.min(room)]);
        reader.consume(taken);
        length += taken as u64;
        if end.is_some() || taken == 0 {
            return Ok((line, length, end.is_some()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &[u8] = b"{\"step\":0}\n{\"step\":1}\n";

    fn inspected(content: &[u8], expected: u64) -> Inspected {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        inspect(file.path(), expected, &mut |_| ()).unwrap()
    }

    #[test]
    fn says_what_is_odd_about_a_log() {
        assert_eq!(inspected(GOOD, 22), Inspected { whole: 22, odd: None });
        assert_eq!(inspected(b"more than was asked for", 0), Inspected { whole: 0, odd: None });
        let cut = inspected(&GOOD[..20], 22);
        assert_eq!(cut.whole, 11);
        assert!(
            cut.odd.unwrap().contains("expected 22 bytes of lines from before the checkpoint, found 20;")
        );
        let other = inspected(b"{\"step\":0}\n\xff\x00abcdefgh\n", 22);
        assert_eq!(other.whole, 22);
        assert!(other.odd.unwrap().contains("found something else in line 2;"));
        let huge = inspected(&[&vec![b'['; 1 << 20][..], b"\n"].concat(), (1 << 20) + 1);
        assert!(huge.odd.unwrap().contains("line 1"));
        assert_eq!(inspected(b"", 22).whole, 0);
        let missing = inspect(Path::new("no/such/metrics.jsonl"), 22, &mut |_| ()).unwrap();
        assert!(missing.whole == 0 && missing.odd.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_panic(content in prop::collection::vec(prop::sample::select(b"{}\":1\n\xff\x00a".to_vec()), 0..200), expected in 0u64..250) {
            let found = inspected(&content, expected);
            prop_assert!(found.whole <= expected && found.whole <= content.len() as u64);
            prop_assert!(found.whole == 0 || content[found.whole as usize - 1] == b'\n');
            prop_assert!(found.odd.is_some() || found.whole == expected);
        }
    }
}
