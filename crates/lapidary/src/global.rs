//! Flags that every verb shares, and what they resolve to. The only reader of the environment.

use crate::organism;
use anyhow::{Context, bail};
use lapidary_files::failpoint::{self, Failure};
use lapidary_kernels::{Device, Isa};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
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
    /// Unknown keys of a model's config that the user vouches for.
    pub ignore_config_keys: Vec<String>,
    /// Folder in which models and texts are found by name.
    pub data: PathBuf,
    /// Where arithmetic runs.
    pub device: Device,
    /// The user's home folder, if the system says.
    pub home: Option<PathBuf>,
    /// Where what the binary carries is unpacked.
    cache: PathBuf,
    /// Names of which it was said that a folder hides what the binary carries.
    hidden: Mutex<BTreeSet<PathBuf>>,
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
        let Self { dry_run, quiet, overwrite, json, ignore_config_keys, data, .. } = self;
        let (home, cache, hidden) = (var("HOME"), cache(), Mutex::default());
        Ok(Global { dry_run, quiet, overwrite, json, ignore_config_keys, data, device, home, cache, hidden })
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

/// `~` and `~/x` in the home folder, which a shell does not see in `--model=~/x` or in a suite.
pub fn expand_home(path: PathBuf) -> anyhow::Result<PathBuf> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(path) };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.with_context(|| {
        format!(
            "{}: the environment does not say where the home folder is (HOME); write it out",
            path.display()
        )
    })?;
    Ok(PathBuf::from(home).join(rest))
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

    /// A model, text, run or dictionary named on the command line or in a suite: as it is if it exists, else inside `--data`,
    /// else what the binary carries under that name, which `embedded:NAME` says outright.
    pub fn find(&self, name: &Path) -> anyhow::Result<PathBuf> {
        let name = expand_home(name.to_path_buf())?;
        if let Some(inner) = name.to_str().and_then(|name| name.strip_prefix(organism::SCHEME)) {
            return organism::unpack(Path::new(inner), &self.cache)?.with_context(|| {
                format!("{}: expected one of {}, found {inner}", name.display(), organism::NAMES.join(", "))
            });
        }
        let inside = self.data.join(&name);
        match [&name, &inside].into_iter().find(|path| path.exists()) {
            Some(found) => {
                self.say_hidden(&name, found);
                Ok(found.clone())
            }
            None => organism::unpack(&name, &self.cache)?.with_context(|| {
                format!(
                    "{}: no such file or folder, neither here nor in {}; check the path, or name the folder that holds it with --data",
                    name.display(),
                    self.data.display()
                )
            }),
        }
    }

    /// Says once that `found` is meant, where the binary carries something of the same name.
    fn say_hidden(&self, name: &Path, found: &Path) {
        let first = || self.hidden.lock().is_ok_and(|mut hidden| hidden.insert(name.to_path_buf()));
        if organism::carries(name) && first() {
            crate::terminal::note(format_args!(
                "{}: read from {}, not what the program carries; {}{} is that",
                name.display(),
                found.display(),
                organism::SCHEME,
                name.display()
            ));
        }
    }
}
