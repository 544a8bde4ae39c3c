//! `cargo xtask fixtures`: runs every `make.py` under `fixtures/` with `$PYTHON`. They need the packages that
//! `fixtures/README.md` names (PyTorch among them), which no test does: what they write is committed.

use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    for script in crate::source::list(root)? {
        if script.path.starts_with("fixtures/") && script.path.ends_with("/make.py") {
            println!("{python} {}", script.path);
            let status = Command::new(&python)
                .arg(&script.path)
                .current_dir(root)
                .env("OMP_NUM_THREADS", "1") // sums in one order
                .status();
            if !status.with_context(|| format!("cannot run {python}; set PYTHON"))?.success() {
                bail!("{} failed; is everything installed that fixtures/README.md names?", script.path);
            }
        }
    }
    Ok(())
}
