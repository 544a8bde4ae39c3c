//! Tests over a real socket: a slow client is cut, a huge head is refused, a client that goes away ends its stream, and a server that is
//! told to stop stops while somebody is still connected.

use crate::common::{app, block_on};
use lapidary_server::{Limits, Settings, serve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

#[test]
fn a_server_outlives_its_clients() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { head_time: Duration::from_millis(300), streams: 1, ..Limits::default() };
    let app = app(&folder, Settings { limits, ..Settings::default() });
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, app, async {
            let _ = stopped.await;
        }));
        // A head that never ends: the server closes the connection, and meanwhile answers others.
        let mut slow = TcpStream::connect(at).await.unwrap();
        slow.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
        assert!(
            ask(at, b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                .await
                .contains("200 OK")
        );
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"), "it was cut");
        let huge = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(600_000));
        let answer = ask(at, huge.as_bytes()).await;
        assert!(answer.is_empty() || answer.contains("431") || answer.contains("400"), "{answer:.80}");
        for _ in 0..3 {
            goes_away(at).await;
        }
        assert!(ask(at, b"nonsense\r\n\r\n").await.contains("400"));
        let _idle = TcpStream::connect(at).await.unwrap();
        stop.send(()).unwrap();
        server.await.expect("it ends though somebody is connected");
        assert!(TcpStream::connect(at).await.is_err(), "nobody listens any more");
    });
}

async fn ask(at: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(at).await.unwrap();
    let _ = socket.write_all(request).await; // it may be refused before it is whole
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Starts a stream, reads its beginning, and leaves. One stream is allowed at a time: the next is accepted when this one has ended.
async fn goes_away(at: SocketAddr) {
    let body = r#"{"prompt":"the king said","features":[],"max_tokens":120,"temperature":1.0}"#;
    let head = "POST /api/v1/steer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    loop {
        let mut socket = TcpStream::connect(at).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut begun = [0; 64];
        socket.read_exact(&mut begun).await.unwrap();
        let begun = String::from_utf8_lossy(&begun).into_owned();
        if begun.contains("200 OK") {
            return;
        }
        assert!(begun.contains("429"), "{begun}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
