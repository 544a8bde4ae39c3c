//! A judge behind an OpenAI-compatible endpoint: `POST URL/chat/completions`, temperature 0, by HTTP/1.1 without encryption, so on this
//! machine or behind a local proxy.
//!
//! Every question and answer is a line that is appended to a log, and a question that the log answers is not asked again: a killed evaluation goes on,
//! and a log alone repeats it without any endpoint.

use crate::ReleaseError;
use crate::error::invalid;
use lapidary_files::{self as files, Log};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest answer that is read, bytes.
const MAX_ANSWER: u64 = 4 << 20;
/// Longest log that is read, bytes.
const MAX_LOG: u64 = 1 << 30;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where it is asked, and what has been answered.
pub struct Endpoint {
    host: String,
    path: String,
    model: String,
    log: PathBuf,
    /// Open once there is something to write.
    open: Option<Log>,
    /// Does the log end within a line, as after a kill?
    is_cut: bool,
    answered: BTreeMap<String, String>,
}

/// A line of the log.
#[derive(Serialize, Deserialize)]
struct Line {
    model: String,
    question: String,
    answer: String,
}

impl Endpoint {
    /// `url` like `http://127.0.0.1:8080/v1`; the log is read if it is there.
    ///
    /// # Errors
    /// A URL that is not `http://HOST[:PORT][/PATH]`, or a log that cannot be read.
    pub fn open(url: &str, model: &str, log: &Path) -> Result<Endpoint, ReleaseError> {
        let Some(rest) = url.strip_prefix("http://").filter(|rest| !rest.is_empty()) else {
            invalid!("--judge: expected http://HOST:PORT/v1, found {url}; for https run a local proxy");
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
        let path = format!("/{}/chat/completions", path.trim_end_matches('/')).replace("//", "/");
        let bytes = if log.is_file() { files::read(log, MAX_LOG)? } else { Vec::new() };
        let is_cut = bytes.last().is_some_and(|last| *last != b'\n');
        let mut answered = BTreeMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(line) else { continue }; // a line that was cut short
            if line.model == model {
                answered.insert(line.question, line.answer);
            }
        }
        let (model, log) = (model.into(), log.into());
        Ok(Endpoint { host, path, model, log, open: None, is_cut, answered })
    }

    /// The answer to a prompt, from the log or from the judge.
    ///
    /// # Errors
    /// Nobody there, or an answer that is no chat completion.
    pub fn ask(&mut self, prompt: &str) -> Result<String, ReleaseError> {
        if let Some(answer) = self.answered.get(prompt) {
            return Ok(answer.clone());
        }
        let answer = self.request(prompt)?;
        self.keep(prompt, &answer)?;
        self.answered.insert(prompt.into(), answer.clone());
        Ok(answer)
    }

    /// Appends a line to the log.
    fn keep(&mut self, question: &str, answer: &str) -> Result<(), ReleaseError> {
        let line = Line { model: self.model.clone(), question: question.into(), answer: answer.into() };
        let before = if std::mem::take(&mut self.is_cut) { "\n" } else { "" };
        let line = format!("{before}{}\n", serde_json::to_string(&line).expect("strings"));
        if self.open.is_none() {
            let length = self.log.metadata().map_or(0, |found| found.len());
            self.open = Some(Log::open(&self.log, length)?);
        }
        let log = self.open.as_mut().expect("it is open");
        log.append(&line)?;
        log.sync()?;
        Ok(())
    }

    fn request(&self, prompt: &str) -> Result<String, ReleaseError> {
        let body = serde_json::json!({
            "model": self.model, "temperature": 0, "messages": [{"role": "user", "content": prompt}],
        });
        let body = body.to_string();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.path,
            self.host,
            body.len()
        );
        let bytes = self.exchange(&(head + &body)).map_err(|error| {
            ReleaseError::Invalid(format!(
                "{}: expected a judge that answers, found {error}; is it running?",
                self.host
            ))
        })?;
        self.content(&String::from_utf8_lossy(&bytes))
    }

    fn exchange(&self, request: &str) -> std::io::Result<Vec<u8>> {
        let address = self.host.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The message of a response.
    fn content(&self, response: &str) -> Result<String, ReleaseError> {
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
        let status = head.lines().next().unwrap_or_default();
        if !status.contains(" 200") {
            invalid!("{}: expected status 200 of {}, found {status:?}", self.host, self.path);
        }
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if is_chunked { joined(body) } else { body.to_string() };
        let value: Option<serde_json::Value> = serde_json::from_str(body.trim()).ok();
        let content = value.as_ref().and_then(|v| v["choices"][0]["message"]["content"].as_str());
        match content {
            Some(content) => Ok(content.to_string()),
            None => invalid!(
                "{}: expected a chat completion with choices[0].message.content, found {:.80}",
                self.host,
                body
            ),
        }
    }
}

/// A body in chunks, each after a line with its length in hex.
fn joined(body: &str) -> String {
    let (mut out, mut rest) = (String::new(), body);
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        out += chunk;
        rest = after[length..].trim_start_matches("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A stub that gives these responses, one a connection; the requests that it got.
    fn stub(responses: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let serve = move || {
            let one = |response: String| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !String::from_utf8_lossy(&request).ends_with('}') {
                    let n = stream.read(&mut buffer).expect("a request");
                    request.extend_from_slice(&buffer[..n]);
                }
                stream.write_all(response.as_bytes()).expect("sent");
                String::from_utf8(request).expect("text")
            };
            responses.into_iter().map(one).collect()
        };
        (url, std::thread::spawn(serve))
    }

    fn ok(content: &str) -> String {
        let body = serde_json::json!({"choices": [{"message": {"content": content}}]}).to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_stub_is_asked_once_and_then_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("judge.jsonl");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = r#"{"choices":[{"message":{"content":"two"}}]}"#;
        let (a, b) = body.split_at(10);
        let chunks = format!("{chunked}{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
        let (url, served) = stub(vec![ok("[1, 2]"), chunks]);
        let mut endpoint = Endpoint::open(&url, "m", &log).expect("a URL");
        assert_eq!(endpoint.ask("one?").expect("an answer"), "[1, 2]");
        assert_eq!(endpoint.ask("two?").expect("an answer"), "two");
        assert_eq!(endpoint.ask("one?").expect("from memory"), "[1, 2]");
        let requests = served.join().expect("two requests");
        assert!(requests[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", requests[0]);
        assert!(requests[0].contains(r#""content":"one?""#) && requests[0].contains(r#""model":"m""#));
        // Nobody is there any more: the log answers, but not for another model.
        let mut replay = Endpoint::open(&url, "m", &log).expect("a URL");
        assert_eq!(replay.ask("two?").expect("from the log"), "two");
        let error = Endpoint::open(&url, "other", &log).expect("a URL").ask("two?").expect_err("nobody");
        assert!(error.to_string().contains("expected a judge that answers"), "{error}");
    }

    /// A log that ends in the middle of a letter, after the line of another judge: both stay, and what is answered comes after them.
    #[test]
    fn a_log_only_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("judge.jsonl");
        let before = [
            br#"{"model":"other","question":"q","answer":"a"}"#,
            &b"\n{\"model\":\"m\",\"question\":\"\xe2"[..],
        ];
        std::fs::write(&log, before.concat()).expect("written");
        let (url, served) = stub(vec![ok("one"), ok("two")]);
        let mut endpoint = Endpoint::open(&url, "m", &log).expect("a URL");
        let mut known = before.concat();
        for (question, answer) in [("q", "one"), ("r", "two")] {
            assert_eq!(endpoint.ask(question).expect("an answer"), answer);
            let now = std::fs::read(&log).expect("readable");
            assert!(now.starts_with(&known) && now.ends_with(b"\n"), "{}", String::from_utf8_lossy(&now));
            known = now;
        }
        served.join().expect("two requests");
        for (model, answer) in [("m", "one"), ("other", "a")] {
            assert_eq!(
                Endpoint::open(&url, model, &log).expect("a URL").ask("q").expect("from the log"),
                answer
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("judge.jsonl");
        let (url, served) =
            stub(vec!["HTTP/1.1 500 Oops\r\n\r\n".into(), "HTTP/1.1 200 OK\r\n\r\nhello".into()]);
        let mut endpoint = Endpoint::open(&url, "m", &log).expect("a URL");
        let error = |e: Result<String, ReleaseError>| e.expect_err("no answer").to_string();
        assert!(error(endpoint.ask("a")).contains("found \"HTTP/1.1 500 Oops\""));
        assert!(error(endpoint.ask("a")).contains("found hello"));
        served.join().expect("two requests");
        let https = Endpoint::open("https://x/v1", "m", &log).err().expect("refused").to_string();
        assert!(https.contains("run a local proxy"), "{https}");
    }
}
