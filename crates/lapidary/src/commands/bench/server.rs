//! `lapidary bench server`: how fast a running server answers: feature pages to many clients at once, the microscope, the first steered
//! token. A client of a few lines: HTTP/1.1 over a kept connection, nothing else.

use crate::global::Global;
use crate::terminal;
use anyhow::{Context, bail};
use lapidary_report::number::significant;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct ServerArgs {
    /// Address of the server, which runs already
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8420")]
    at: String,
    /// Clients that ask for feature pages at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    clients: u32,
    /// Requests of each client
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Rounds of the microscope and of steering
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Text of the microscope; its first 64 words
    #[arg(long, default_value = "the king said that the river was cold and the child ran home")]
    text: String,
}

pub fn run(args: &ServerArgs, global: &Global) -> anyhow::Result<()> {
    let mut client = Client::open(&args.at)?;
    let sources = sources(&mut client)?;
    if global.dry_run {
        let requests = args.clients * args.requests;
        return global
            .tell(&json!({ "requests": requests }), format_args!("{requests} requests to {}", args.at));
    }
    let mut pages = pages(args, &sources)?;
    let words: Vec<&str> = args.text.split_whitespace().cycle().take(64).collect();
    let microscope = json!({ "text": words.join(" "), "hide_dense_above": 1.0 });
    let mut seen = timed(args.rounds, || client.post("/api/v1/activations", &microscope, false).map(|_| ()))?;
    let feature = json!({ "source": sources[0].0, "index": alive(&mut client, &sources[0].0)?, "method": "add", "strength": 1.0 });
    let steer = json!({ "prompt": words[..12].join(" "), "features": [feature], "max_tokens": 8, "seed": 1 });
    let mut steered = timed(args.rounds, || client.post("/api/v1/steer", &steer, true).map(|_| ()))?;
    let mut first = timed(args.rounds, || client.get("/").map(|_| ()))?;
    let rows = [
        (format!("feature pages, {} clients", args.clients), &mut pages),
        ("microscope, 64 words, all dictionaries".into(), &mut seen),
        ("first steered token".into(), &mut steered),
        ("the app's first page".into(), &mut first),
    ];
    let rows: Vec<(String, f64, f64)> = rows
        .into_iter()
        .map(|(name, times)| (name, percentile(times, 0.5), percentile(times, 0.99)))
        .collect();
    if global.json {
        let rows = rows.iter().map(|(name, p50, p99)| json!({ "what": name, "p50_ms": p50, "p99_ms": p99 }));
        return terminal::line(format_args!("{:#}", Value::from(rows.collect::<Vec<_>>())));
    }
    let line = |(name, p50, p99): &(String, f64, f64)| {
        format!("{name:<40} p50 {:>7} ms   p99 {:>7} ms\n", significant(*p50, 3), significant(*p99, 3))
    };
    terminal::print(rows.iter().map(line).collect::<String>())
}

/// Milliseconds of every request for a feature's page, of all clients at once.
fn pages(args: &ServerArgs, sources: &[(String, u64)]) -> anyhow::Result<Vec<f64>> {
    let one = |number: u32| -> anyhow::Result<Vec<f64>> {
        let mut client = Client::open(&args.at)?;
        let mut times = Vec::with_capacity(args.requests as usize);
        for n in 0..args.requests {
            let draw = u64::from(number * args.requests + n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
            let (source, features) = &sources[draw as usize % sources.len()];
            let began = Instant::now();
            client.get(&format!("/api/v1/feature/{source}/{}", (draw >> 8) % features))?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..args.clients).map(|number| scope.spawn(move || one(number))).collect();
        let joined = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client failed"))?);
        Ok(joined.collect::<anyhow::Result<Vec<_>>>()?.concat())
    })
}

/// Milliseconds of each round, after one that is not counted.
fn timed(rounds: u32, mut round: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    round()?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        round()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share).ceil() as usize]
}

/// The dictionaries and how many features each has.
fn sources(client: &mut Client) -> anyhow::Result<Vec<(String, u64)>> {
    let suite: Value = serde_json::from_slice(&client.get("/api/v1/suite")?)?;
    let one = |d: &Value| Some((d["source"].as_str()?.to_string(), d["features"].as_u64()?));
    let all: Vec<_> = suite["dictionaries"].as_array().into_iter().flatten().filter_map(one).collect();
    if all.is_empty() { bail!("expected a suite with dictionaries, found none") } else { Ok(all) }
}

fn alive(client: &mut Client, source: &str) -> anyhow::Result<u64> {
    let list = client.get(&format!("/api/v1/features/{source}?alive=true&sort=max&order=desc&limit=1"))?;
    let list: Value = serde_json::from_slice(&list)?;
    list["features"][0]["index"].as_u64().context("expected a feature that fires, found none")
}

/// A kept connection.
struct Client {
    at: String,
    socket: BufReader<TcpStream>,
}

impl Client {
    fn open(at: &str) -> anyhow::Result<Client> {
        let socket = TcpStream::connect(at).with_context(|| {
            format!("{at}: nobody answers there; start `lapidary serve`, or name its address with --at")
        })?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_nodelay(true)?;
        Ok(Client { at: at.to_string(), socket: BufReader::new(socket) })
    }

    fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    /// Of a stream only what comes up to the first steered token; the connection is then given up.
    fn post(&mut self, path: &str, body: &Value, stream: bool) -> anyhow::Result<Vec<u8>> {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        if !stream {
            return self.ask(&request);
        }
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        while !line.contains("\"steered\"") {
            line.clear();
            if self.socket.read_line(&mut line)? == 0 {
                bail!("{path}: expected a steered token, found the end of the answer");
            }
        }
        *self = Client::open(&self.at.clone())?;
        Ok(line.into_bytes())
    }

    fn ask(&mut self, request: &str) -> anyhow::Result<Vec<u8>> {
        self.socket.get_mut().write_all(request.as_bytes())?;
        let (mut length, mut status, mut line) = (0, String::new(), String::new());
        loop {
            line.clear();
            if self.socket.read_line(&mut line)? == 0 {
                bail!("expected an answer, found a closed connection");
            }
            if status.is_empty() {
                status = line.trim().to_string();
            }
            let header = line.trim().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if header.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        match status.contains(" 200 ") {
            true => Ok(body),
            false => bail!("expected 200, found {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}
