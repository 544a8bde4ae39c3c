//! `lapidary serve`: an atlas in the browser; of a run or release, the atlas is built first, once, into the cache.

use super::atlas::subject::{Named, SubjectArgs};
use crate::global::Global;
use crate::terminal::progress::Progress;
use lapidary_atlas::Atlas;
use lapidary_server::{Address, App, Live, SITE, Settings};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Serve an atlas in the browser: look at features, search, type texts, steer
///
/// Of a run, a release or dictionaries, the atlas is built at the first start, into the cache, and the model is loaded, to type texts
/// to and to steer. Of an atlas's folder that works, too, once --dictionary says which dictionaries it is of. Everything is in this
/// program; it asks nothing of the network. Only this machine reaches the server, unless --host and --token say otherwise. Ctrl-C
/// ends it.
#[derive(clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    of: SubjectArgs,
    /// Where to listen; 0 for any free port
    #[arg(long, value_name = "P", default_value_t = 8_420)]
    port: u16,
    /// Address to listen at; one that others reach needs --token
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Secret that whoever asks must know: 16 letters and digits at least
    #[arg(long)]
    token: Option<String>,
    /// Write a static copy that any web host can serve, and end; all but typing and steering
    #[arg(long, value_name = "DIR")]
    export_site: Option<PathBuf>,
}

pub fn run(args: ServeArgs, global: &Global) -> anyhow::Result<()> {
    let address = Address { host: args.host, port: args.port };
    address.check(args.token.as_deref())?;
    let site = args.export_site.as_deref();
    let site =
        site.map(|folder| global.output_folder(folder, &SITE, false, &[&args.of.subject])).transpose()?;
    let path = global.catalog.find(&args.of.subject)?;
    if global.dry_run {
        let path = path.display();
        return global.tell(
            &serde_json::json!({ "subject": path.to_string() }),
            format_args!("{path} at port {}", args.port),
        );
    }
    let Named { folder, dictionaries, .. } = args.of.open(global)?;
    let live = dictionaries.map(|of| Live { opened: of.opened, dictionaries: of.named });
    live.as_ref().map(|live| live.opened.model()).transpose()?;
    let atlas = Atlas::open(&folder)?;
    let app = Arc::new(App::new(atlas, live, args.settings())?);
    if let Some(out) = site.flatten() {
        let mut bar = Progress::new(global.quiet, "exporting", 0, "files");
        lapidary_server::export(app, &out.path, &mut |done, total| bar.set_of(done, total))?;
        bar.finish();
        out.finish()?;
        let folder = args.export_site.unwrap_or_default();
        return global.tell(
            &serde_json::json!({ "site": folder }),
            format_args!("a static copy in {}", folder.display()),
        );
    }
    let token = args.token.as_ref().map_or(String::new(), |token| format!("?token={token}"));
    let mut told = Ok(());
    lapidary_server::run(app, address, |at| {
        let url = format!("http://{at}/{token}");
        told = global.tell(&serde_json::json!({ "url": url }), format_args!("{url}"));
    })?;
    told
}

impl ServeArgs {
    /// For this machine alone, at any free port; what has no atlas yet is looked at on so many windows.
    pub fn local(subject: PathBuf, max_windows: Option<usize>) -> ServeArgs {
        let (host, port) = (Ipv4Addr::LOCALHOST.into(), 0);
        ServeArgs { of: SubjectArgs::of(subject, max_windows), port, host, token: None, export_site: None }
    }

    fn settings(&self) -> Settings {
        let SubjectArgs { subject, dictionary, model, .. } = &self.of;
        let named = if dictionary.is_empty() { std::slice::from_ref(subject) } else { dictionary };
        let quoted = |path: &PathBuf| format!(" '{}'", path.display().to_string().replace('\'', "'\\''"));
        let mut command = format!(" --dictionary{}", named.iter().map(quoted).collect::<String>());
        command.extend(model.as_ref().map(|model| format!(" --model{}", quoted(model))));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Settings {
            token: self.token.clone(),
            command,
            is_static: self.export_site.is_some(),
            seed: since.as_nanos() as u64,
            ..Settings::default()
        }
    }
}
