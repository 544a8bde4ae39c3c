//! `lapidary atlas query`: what an atlas says, for scripts and for a terminal.

use crate::global::Global;
use crate::terminal;
use anyhow::{Context, bail};
use lapidary_atlas::{Atlas, SearchKind, Sort, Wanted};
use serde::Serialize;
use std::path::PathBuf;

/// Ask an atlas: its suite, features of a source, one feature, or a search
///
/// The answer is JSON, with the names that `lapidary serve` uses.
#[derive(clap::Args)]
pub struct QueryArgs {
    /// Atlas folder
    atlas: PathBuf,
    /// SOURCE for the list of its features, SOURCE/INDEX for one feature [default: the suite]
    what: Option<String>,
    /// Features whose explanations have these words
    #[arg(long, value_name = "WORDS", conflicts_with = "token")]
    search: Option<String>,
    /// Features that fire most at this token, or promote it
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// index, density, max or f1 [default: index, of a search what fits best]
    #[arg(long, value_name = "KEY", value_parser = ["index", "density", "max", "f1"])]
    sort: Option<String>,
    /// asc or desc [default: asc of index, desc of all else]
    #[arg(long, value_name = "ORDER", value_parser = ["asc", "desc"])]
    order: Option<String>,
    /// Only features that fire in this share of rows or more
    #[arg(long, value_name = "SHARE")]
    min_density: Option<f64>,
    /// Only features that fire in this share of rows or less
    #[arg(long, value_name = "SHARE")]
    max_density: Option<f64>,
    /// Only features whose largest value is this or more
    #[arg(long, value_name = "VALUE")]
    min_max: Option<f64>,
    /// Only features with an explanation of this score or more; of --search the one that is found
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f64>,
    /// Only features that fired
    #[arg(long)]
    alive: bool,
    /// Skip so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    /// List so many, at most 1,000
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
}

pub fn run(args: QueryArgs, global: &Global) -> anyhow::Result<()> {
    let atlas = Atlas::open(&global.catalog.find(&args.atlas)?)?;
    let (source, index) = match args.what.as_deref().map(|what| what.rsplit_once('/').unwrap_or((what, ""))) {
        None => (None, None),
        Some((source, "")) => (Some(source), None),
        Some((source, index)) => {
            let index: u32 =
                index.parse().with_context(|| format!("{index}: expected the number of a feature"))?;
            (Some(source), Some(index))
        }
    };
    let search = args.search.as_deref().map(|words| (words, SearchKind::Explanation));
    let search = search.or(args.token.as_deref().map(|token| (token, SearchKind::Token)));
    match (search, source, index) {
        (Some(_), _, Some(_)) => {
            bail!("expected a search in the atlas or in a SOURCE, found one feature; leave /INDEX out")
        }
        (Some((query, kind)), source, None) => {
            say(&atlas.search(query, kind, source, &args.wanted())?, global)
        }
        (None, None, _) => say(atlas.suite(), global),
        (None, Some(source), None) => say(&atlas.features(source, &args.wanted())?, global),
        (None, Some(source), Some(index)) => say(&atlas.feature(source, index)?, global),
    }
}

fn say(answer: &impl Serialize, global: &Global) -> anyhow::Result<()> {
    let json = if global.json { serde_json::to_string(answer) } else { serde_json::to_string_pretty(answer) };
    terminal::line(json?)
}

impl QueryArgs {
    fn wanted(&self) -> Wanted {
        let QueryArgs { min_density, max_density, min_max, min_score, alive, offset, limit, .. } = *self;
        let sort = self.sort.as_deref().and_then(Sort::named);
        let descending = self.order.as_deref().map(|order| order == "desc");
        Wanted { sort, descending, min_density, max_density, min_max, min_score, alive, offset, limit }
    }
}
