//! Tests of the log: it grows, is cut back to where a checkpoint stood, and never invents what is missing.

use lapidary_files::Log;

#[test]
fn a_resumed_log_goes_on_where_the_checkpoint_stood() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let mut log = Log::open(&path, 0).unwrap();
    log.append("one\n").unwrap();
    let checkpoint = log.sync().unwrap();
    assert_eq!(checkpoint, 4);
    log.append("lost\n").unwrap();
    drop(log);

    let mut log = Log::open(&path, checkpoint).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    log.append("zwei é\n").unwrap();
    assert_eq!(log.sync().unwrap(), 4 + 8);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nzwei é\n");

    let error = Log::open(&path, 13).unwrap_err().to_string();
    assert!(error.contains("expected at least 13 bytes, found 12"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 12, "the refusal changed nothing");

    drop(Log::open(&path, 0).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"", "a new run begins with an empty log");
    let error = Log::open(&dir.path().join("missing/log"), 0).unwrap_err().to_string();
    assert!(error.contains("cannot create") && error.contains("check the path"), "{error}");
}
