//! What can stop a run.

use lapidary_files::FileError;
use lapidary_store::SourceError;

/// Training could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A checkpoint or log could not be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source of rows failed.
    #[error("cannot read rows: {0}")]
    Source(#[source] SourceError),
    /// The checkpoint is of another plan, version or instruction set.
    #[error(
        "{path}: expected a checkpoint of {what} {expected}, found {found}; resume with the run's own plan and machine, or start anew"
    )]
    OtherRun {
        /// The checkpoint.
        path: std::path::PathBuf,
        /// Which of its marks differs.
        what: &'static str,
        /// The mark of this run.
        expected: String,
        /// The checkpoint's.
        found: String,
    },
    /// A plan names a site that the rows do not have.
    #[error(
        "no rows for site {site}: the source has {available}; harvest that site or remove it from the suite"
    )]
    MissingSite {
        /// The plan's site.
        site: String,
        /// The source's sites.
        available: String,
    },
    /// A dictionary cannot begin as the one that it was given.
    #[error(
        "dictionary {name} cannot begin as the given one: expected {expected}, found {found}; choose another"
    )]
    Start {
        /// The plan's name of it.
        name: String,
        /// What the plan needs.
        expected: String,
        /// What the given one has.
        found: String,
    },
    /// A number of the plan that no training can follow.
    #[error("{key}: expected {expected}, found {found}")]
    Plan {
        /// Its place in the plan: `recipe.batch`, `dictionaries.NAME.width`.
        key: String,
        /// What can be followed.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Asked to stop (Ctrl-C).
    #[error("stopped at step {step} of {steps}, which is saved; continue with --resume")]
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps planned.
        steps: u64,
    },
}
