//! Flags that every verb shares, and what they resolve to. The only reader of the environment.

use anyhow::{Context, bail};
use lapidary_catalog::{Catalog, CatalogError};
use lapidary_files::failpoint::{self, Failure};
use lapidary_kernels::{Device, Isa};
use lapidary_lm::Precision;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;

/// More threads than any machine that we know has cores.
const MAX_THREADS: usize = 1_024;

/// As written on the command line.
#[derive(clap::Args)]
pub struct GlobalFlags {
    /// Worker threads [default: all cores]; the results do not depend on it
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    /// Say what would be done, where it takes long with an estimate of time, memory and disk, and stop
    #[arg(long, global = true)]
    dry_run: bool,
    /// No progress on stderr
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Replace the output file, or an output folder that Lapidary wrote; the old one goes when the new one is whole
    #[arg(long, global = true)]
    overwrite: bool,
    /// Results as JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Unknown keys of a model's config.json that change nothing in what it computes, by your word
    #[arg(long, global = true, value_name = "KEY,KEY,…", value_delimiter = ',')]
    ignore_config_keys: Vec<String>,
    /// How a model's products are computed: f32, or bf16, whose factors are rounded to bf16 [default: what the suite, run or
    /// dictionary says, else f32]
    #[arg(long, global = true, value_name = "f32|bf16")]
    precision: Option<Precision>,
    /// Where local models and texts are found by name
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// What the verbs get.
pub struct Global {
    /// Say what would be done and stop.
    pub dry_run: bool,
    /// No progress on stderr.
    pub quiet: bool,
    /// Replace what is there, if it is ours.
    pub overwrite: bool,
    /// Results as JSON on stdout.
    pub json: bool,
    /// Where names are looked up.
    pub catalog: Catalog,
}

impl GlobalFlags {
    /// Sets the thread pool up, reads `LAPIDARY_ISA` and, for tests, `LAPIDARY_FAIL`.
    pub fn resolve(self) -> anyhow::Result<Global> {
        if let Some(threads) = self.threads.filter(|n| !(1..=MAX_THREADS).contains(n)) {
            bail!(
                "--threads: expected at least 1 and at most {MAX_THREADS}, found {threads}; more than the machine has cores \
                 make nothing faster"
            );
        }
        let threads = self.threads.unwrap_or(0);
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .context("cannot start threads")?;
        arm_failpoint()?;
        let device = match std::env::var("LAPIDARY_ISA") {
            Ok(name) => Device::Cpu(name.parse::<Isa>().map_err(anyhow::Error::msg).context("LAPIDARY_ISA")?),
            Err(_) => Device::detect(),
        };
        let Self { dry_run, quiet, overwrite, json, ignore_config_keys, precision, data, .. } = self;
        let (home, cache, hidden) = (var("HOME"), cache(), Mutex::default());
        let note = |line: &str| crate::terminal::note(line);
        let catalog = Catalog { data, cache, home, device, ignore_config_keys, precision, note, hidden };
        Ok(Global { dry_run, quiet, overwrite, json, catalog })
    }
}

/// A folder that the environment names.
fn var(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// `LAPIDARY_CACHE`, else where the system keeps caches, else its temporary folder.
fn cache() -> PathBuf {
    let system = var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    var("LAPIDARY_CACHE").unwrap_or_else(|| system.unwrap_or_else(std::env::temp_dir).join("lapidary"))
}

/// As [`lapidary_catalog::expand_home`], with the home folder that the environment names.
pub fn expand_home(path: PathBuf) -> Result<PathBuf, CatalogError> {
    lapidary_catalog::expand_home(path, var("HOME").as_deref())
}

/// `LAPIDARY_FAIL=kill:12` or `disk-full:12`: the twelfth step of publishing files fails so. For tests.
fn arm_failpoint() -> anyhow::Result<()> {
    let Ok(text) = std::env::var("LAPIDARY_FAIL") else { return Ok(()) };
    let (failure, step) = text.split_once(':').context("LAPIDARY_FAIL: expected kill:N or disk-full:N")?;
    let failure = match failure {
        "kill" => Failure::Kill,
        "disk-full" => Failure::DiskFull,
        other => bail!("LAPIDARY_FAIL: expected kill or disk-full, found {other}"),
    };
    failpoint::arm(step.parse().context("LAPIDARY_FAIL: expected a number of steps")?, failure);
    Ok(())
}

impl Global {
    /// Is stdout a terminal that is to have colour? `NO_COLOR` says no unless it is empty.
    pub fn colour(&self) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        std::io::stdout().is_terminal() && !refused
    }
}
