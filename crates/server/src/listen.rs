//! Connections: HTTP/1.1 with a timeout for the head of every request (slow-loris), a bound on their number, and an end that lets what
//! is being answered be answered.

use crate::app::App;
use crate::routes::router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// Answers until `stop` is ready; then ends streams, waits for what is being answered, and cuts what takes too long.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    let (router, limits) = (router(app.clone()), *app.limits());
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head_bytes);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = match race(listener.accept(), stop.as_mut()).await {
            Some(accepted) => accepted,
            None => break,
        };
        // A connection that failed before it began is nobody's; with too many, this one is closed.
        let (Ok((socket, address)), Ok(place)) = (accepted, places.clone().try_acquire_owned()) else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = TcpStream::set_nodelay(&socket, true);
        let client = Client(address.ip());
        let service = router.clone().map_request(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(client);
            request
        });
        let connection = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _ = connection.await; // a client that goes away is no error of ours
            drop(place);
        });
    }
    app.stop();
    drop(listener);
    let _ = tokio::time::timeout(limits.farewell, graceful.shutdown()).await;
}

/// What `work` gives, or none if `stop` was ready before it.
async fn race<T>(
    work: impl Future<Output = T>,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    let work = std::pin::pin!(work);
    match futures_util::future::select(work, stop).await {
        futures_util::future::Either::Left((done, _)) => Some(done),
        futures_util::future::Either::Right(_) => None,
    }
}
