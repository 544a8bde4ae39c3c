//! A server begins and ends: where it listens, who may reach it there, and the signals that stop it. Callers need know nothing of
//! `async`.

use crate::app::App;
use crate::error::ServeError;
use crate::{export as copy, listen};
use lapidary_files::{FileError, Kind};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A static copy's folder.
pub const SITE: Kind = Kind {
    name: "site",
    owns: &[
        "*.html",
        "*.js",
        "*.svg",
        "*.png",
        "*.ico",
        "*.txt",
        "*.webmanifest",
        "assets/*",
        "api/v1/*.json",
        "api/v1/features/*.json",
        "api/v1/feature/*/*.json",
    ],
    resumed_by: None,
};

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The loopback, or an address that others reach.
    pub host: IpAddr,
    /// 0: any that is free.
    pub port: u16,
}

impl Address {
    /// Only this machine reaches a loopback address; at another one, who asks must know a token.
    ///
    /// # Errors
    /// There is none, or one that is easily guessed.
    pub fn check(&self, token: Option<&str>) -> Result<(), ServeError> {
        let host = self.host;
        match token {
            None if !host.is_loopback() => Err(ServeError::Invalid(format!(
                "--host {host}: others reach this address: add --token with a secret of at least 16 letters and digits"
            ))),
            Some(token)
                if token.len() < 16
                    || !token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) =>
            {
                let found = token.len();
                Err(ServeError::Invalid(format!(
                    "--token: expected at least 16 letters, digits, - or _, found {found} characters; make one with `openssl rand -hex 16`"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Serves until Ctrl-C or SIGTERM; `ready` is told where, as soon as it answers.
///
/// # Errors
/// The address must not or cannot be used.
pub fn run(app: Arc<App>, address: Address, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    address.check(app.settings.token.as_deref())?;
    let place = SocketAddr::new(address.host, address.port);
    let failed = |e: std::io::Error| {
        ServeError::Invalid(format!(
            "{place}: cannot listen there ({e}); choose another --port, or stop what listens there"
        ))
    };
    runtime()?.block_on(async {
        let listener = TcpListener::bind(place).await.map_err(failed)?;
        ready(listener.local_addr().map_err(failed)?);
        listen::serve(listener, app, stopped()).await;
        Ok(())
    })
}

/// Writes the static copy; see `export.rs`.
///
/// # Errors
/// A file cannot be read or written.
pub fn export(app: Arc<App>, folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ServeError> {
    runtime()?.block_on(copy::export(app, folder, progress))
}

fn runtime() -> Result<Runtime, ServeError> {
    let built = Builder::new_multi_thread().enable_all().build();
    Ok(built.map_err(FileError::io(Path::new("threads"), "start"))?)
}

/// Ready when somebody wants the server to end.
async fn stopped() {
    let interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        let terminate = std::pin::pin!(terminate.recv());
        futures_util::future::select(interrupt, terminate).await;
        return;
    }
    let _ = interrupt.await;
}
