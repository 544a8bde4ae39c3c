//! `lapidary serve`: an atlas in the browser; of a run or release, the atlas is built first, once, into the cache.

use crate::global::Global;
use crate::terminal;
use crate::terminal::progress::Progress;
use anyhow::Context;
use lapidary_atlas::{ATLAS, Atlas, manifest};
use lapidary_files::{Mode, OutFolder};
use lapidary_release::atlas::{Asked, Dictionaries};
use lapidary_server::{Address, App, Live, SITE, Settings};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
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
    /// Atlas folder; or run, release or dictionary
    #[arg(value_name = "ATLAS|RUN|RELEASE|DICT", default_value = "organism-suite")]
    subject: PathBuf,
    /// The runs, releases or dictionaries that an atlas's folder is of, to type texts and to steer
    #[arg(long, value_name = "RUN|RELEASE|DICT", num_args = 1..)]
    dictionary: Vec<PathBuf>,
    /// Model folder or GGUF file [default: the run's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Text to build an atlas from [default: the run's]
    #[arg(long, value_name = "F", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Windows of text to build an atlas from
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_windows: u32,
    /// Site of a dictionary that does not say its own, like 3.res
    #[arg(long)]
    site: Option<String>,
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
    let site = site.map(|folder| global.output_folder(folder, &SITE, false, &[&args.subject])).transpose()?;
    let path = global.catalog.find(&args.subject)?;
    if global.dry_run {
        let path = path.display();
        return global.tell(
            &serde_json::json!({ "subject": path.to_string() }),
            format_args!("{path} at port {}", args.port),
        );
    }
    let (folder, live) = match path.join(manifest::FILE).is_file() {
        true => (path, args.live(global)?),
        false => args.built(global)?,
    };
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
    fn asked(&self, subjects: &[PathBuf]) -> Asked {
        let max_windows = Some(self.max_windows as usize);
        let (subjects, model, text, site) =
            (subjects.to_vec(), self.model.clone(), self.text.clone(), self.site.clone());
        Asked { subjects, model, text, site, max_windows, ..Asked::default() }
    }

    /// Model and dictionaries of an atlas's folder, if somebody says which.
    fn live(&self, global: &Global) -> anyhow::Result<Option<Live>> {
        if self.dictionary.is_empty() {
            return Ok(None);
        }
        let of = self.asked(&self.dictionary).dictionaries(&global.catalog, &|line| terminal::note(line))?;
        of.opened.model()?;
        Ok(Some(Live { opened: of.opened, dictionaries: of.named }))
    }

    /// The atlas of a run or of dictionaries, which is built if it is not in the cache yet.
    fn built(&self, global: &Global) -> anyhow::Result<(PathBuf, Option<Live>)> {
        let asked = self.asked(std::slice::from_ref(&self.subject));
        let of = asked.dictionaries(&global.catalog, &|line| terminal::note(line))?;
        let folder = global.catalog.cache.join("atlas").join(asked.key(&of)?);
        let of = match folder.join(manifest::FILE).is_file() {
            true => of,
            false => build(&asked, of, &folder, global).context("the atlas cannot be built")?,
        };
        of.opened.model()?;
        Ok((folder, Some(Live { opened: of.opened, dictionaries: of.named })))
    }

    fn settings(&self) -> Settings {
        let named =
            if self.dictionary.is_empty() { std::slice::from_ref(&self.subject) } else { &self.dictionary };
        let quoted = |path: &PathBuf| format!(" '{}'", path.display().to_string().replace('\'', "'\\''"));
        let mut command = format!(" --dictionary{}", named.iter().map(quoted).collect::<String>());
        command.extend(self.model.as_ref().map(|model| format!(" --model{}", quoted(model))));
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

/// Builds an atlas into the cache.
fn build(asked: &Asked, of: Dictionaries, folder: &Path, global: &Global) -> anyhow::Result<Dictionaries> {
    terminal::note(format_args!(
        "building the atlas of {} dictionaries, once, into {}",
        of.named.len(),
        folder.display()
    ));
    let prepared = asked.open_text(of, &global.catalog, &|line| terminal::note(line))?;
    // What an earlier start began is gone on with, once there is something to go on with.
    let mode = if folder.join("state.bin").is_file() { Mode::Resume } else { Mode::Replace };
    let out = OutFolder::open(folder, &ATLAS, mode)?;
    let (subjects, outputs) = prepared.subjects();
    let job = prepared.job(&subjects, &outputs, lapidary_atlas::build::SHARD_ROWS)?;
    let mut bars = super::atlas::Bars::new(global);
    job.build(&out.path, &mut |stage| bars.show(stage))?;
    out.finish()?;
    Ok(Dictionaries { runs: Vec::new(), named: prepared.named, opened: prepared.opened })
}
