//! Tests of what a file may be published as: only regular files are replaced, links are followed, nobody's file is taken for a
//! temporary one.

use lapidary_files::{Log, publish, publish_with};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn refused(path: &Path, found: &str) {
    let error = publish(path, b"new").unwrap_err().to_string();
    assert!(error.contains(found) && error.contains(path.to_str().unwrap()), "{}: {error}", path.display());
    assert!(Log::open(path, 0).is_err(), "a log neither");
}

#[test]
fn what_is_no_file_is_refused_by_name_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink("pipe", at("to-pipe")).unwrap();
    symlink("circle", at("circle")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    for (name, found) in [
        ("pipe", "a named pipe"),
        ("to-pipe", "a named pipe"),
        ("socket", "a socket"),
        ("folder", "a folder"),
        ("..", "a folder"),
        ("circle", "in a circle"),
    ] {
        refused(&at(name), found);
    }
    refused(Path::new("/dev/null"), "a device");
    for stream in ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/2"] {
        refused(Path::new(stream), "a stream of this process");
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 5);
}

#[test]
fn links_stay_and_their_targets_are_written_with_their_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("inner")).unwrap();
    std::fs::write(at("inner/file"), "old").unwrap();
    std::fs::set_permissions(at("inner/file"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("inner/file", at("link")).unwrap();
    symlink("link", at("to-link")).unwrap();
    symlink("inner/none", at("dangling")).unwrap();
    publish(&at("to-link"), b"new").unwrap();
    publish(&at("dangling"), b"made").unwrap();
    assert_eq!(at("to-link").read_link().unwrap(), Path::new("link"));
    assert_eq!(at("dangling").read_link().unwrap(), Path::new("inner/none"));
    assert_eq!(std::fs::read_to_string(at("inner/file")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(at("inner/none")).unwrap(), "made");
    assert_eq!(at("inner/file").metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn nobody_s_file_is_taken_for_a_temporary_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["f.tmp", ".f.tmp", ".lapidary-x-0.tmp", ".lapidary-1-0.tmp.txt"] {
        std::fs::write(at(name), "mine").unwrap();
    }
    std::fs::write(at(".lapidary-1-0.tmp"), "left by a process that was killed").unwrap();
    publish_with(&at("f"), |w| {
        publish(&at("g"), b"g").unwrap(); // while f is being written, its own temporary file must stay
        w.write_all(b"f")
    })
    .unwrap();
    assert_eq!(std::fs::read_to_string(at("f")).unwrap(), "f");
    let mut names: Vec<_> = dir.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".f.tmp", ".lapidary-1-0.tmp.txt", ".lapidary-x-0.tmp", "f", "f.tmp", "g"]);
}

#[test]
fn many_writers_of_one_name_leave_one_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::thread::scope(|scope| {
        for i in 0..8u8 {
            let path = &path;
            scope.spawn(move || (0..20).for_each(|_| publish(path, &[b'a' + i; 5000]).unwrap()));
        }
    });
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() == 5000 && bytes.iter().all(|b| *b == bytes[0]));
    assert_eq!(dir.path().read_dir().unwrap().count(), 1);
}
