//! Where documents come from: files and folders, `-` (standard input), or the ground-truth language, named `world`, `world:tokens=3000000` or
//! `world:seed=7,tokens=3000000,split=templates,policy=chat`. Only the language knows the truth about its tokens.

use crate::error::{Within, invalid};
use crate::{Catalog, CatalogError, Opened};
use lapidary_files::FileError;
use lapidary_text::{Corpus, Split};
use lapidary_world as world;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Tokens of a `world` text when nobody says how many.
const DEFAULT_TOKENS: u64 = 2_000_000;

/// Most tokens that anybody may ask for: they are all held, 4 bytes each.
const MOST_TOKENS: u64 = u32::MAX as u64;

/// A source of documents.
#[derive(Clone, Debug)]
pub enum Text {
    /// Text files and folders.
    Files(Vec<PathBuf>),
    /// The ground-truth language.
    World(World),
}

/// What is to be said before training on a text none of which will be left to score on; `None` if there is some.
pub fn unscorable(corpus: &Corpus) -> Option<String> {
    (corpus.held_out == 0).then(|| {
        format!(
            "warning: the text has {} and none of them is held out, so `lapidary evaluate RUN` will have nothing to score; \
             separate documents by <|endoftext|>, give a folder with one in each file, or evaluate with another --text",
            match corpus.read {
                1 => "1 document".to_owned(),
                n => format!("{n} documents"),
            }
        )
    })
}

/// Consecutive documents of a seed of the language.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Seed and configuration.
    pub corpus: world::Corpus,
    /// Documents are taken until they have this many tokens, of all splits of `Split` together.
    pub tokens: u64,
}

impl Text {
    /// What names on the command line or in a suite mean.
    ///
    /// # Errors
    /// Nothing of that name, a setting of the language that is none, or `world` beside files.
    pub fn parse(names: &[PathBuf], catalog: &Catalog) -> Result<Text, CatalogError> {
        let worlds: Vec<&str> = names
            .iter()
            .filter_map(|n| n.to_str())
            .filter(|n| *n == "world" || n.starts_with("world:"))
            .collect();
        match (worlds.as_slice(), names) {
            ([], _) => Ok(Text::Files(files(names, catalog)?)),
            ([one], [_]) => Ok(Text::World(one.parse()?)),
            _ => Err(invalid!(
                "text: expected `world` alone or files, found both; evaluate them one after the other"
            )),
        }
    }

    /// Its windows; the catalog that opened the model is told what of a folder was not read.
    ///
    /// # Errors
    /// Those of [`Corpus::read`].
    pub fn corpus(&self, opened: &Opened, context: usize, split: Split) -> Result<Corpus, CatalogError> {
        let (tokenizer, spec) = (&opened.tokenizer, &opened.spec);
        let corpus = match self {
            Text::Files(paths) => Corpus::read(paths, tokenizer, spec, context, split)?,
            Text::World(world) => {
                let documents = world.documents().map(|tokens| world::render(&tokens));
                Corpus::from_documents("world", documents, tokenizer, spec, context, split)?
            }
        };
        for path in &corpus.skipped {
            (opened.note)(&format!("{}: skipped: {}", path.display(), why_skipped(path)));
        }
        Ok(corpus)
    }

    /// Names under which the same text is found from any folder.
    ///
    /// # Errors
    /// The working folder is not there any more.
    pub fn places(&self) -> Result<Vec<PathBuf>, CatalogError> {
        match self {
            Text::Files(paths) if paths.iter().any(|p| is_stdin(p)) => Ok(paths.clone()),
            Text::Files(paths) => paths.iter().map(|p| absolute(p)).collect(),
            Text::World(world) => Ok(vec![PathBuf::from(world.to_string())]),
        }
    }

    /// The files and folders that are read.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Text::Files(paths) => paths,
            Text::World(_) => &[],
        }
    }

    /// The language, if the text is of it.
    pub fn world(&self) -> Option<&World> {
        match self {
            Text::Files(_) => None,
            Text::World(world) => Some(world),
        }
    }
}

/// Where the named files and folders are; `-` is standard input, once.
fn files(names: &[PathBuf], catalog: &Catalog) -> Result<Vec<PathBuf>, CatalogError> {
    if names.iter().filter(|name| is_stdin(name)).count() > 1 {
        return Err(invalid!("text: expected `-` once, found it again; standard input can be read once"));
    }
    if names.iter().any(|name| is_stdin(name)) && std::io::stdin().is_terminal() {
        return Err(invalid!(
            "-: expected a text on standard input, found a terminal; pipe a text into it, or name a file"
        ));
    }
    names.iter().map(|name| if is_stdin(name) { Ok(name.clone()) } else { catalog.find(name) }).collect()
}

/// Is it the name of standard input? A file of that name is `./-`.
fn is_stdin(name: &Path) -> bool {
    name == Path::new("-")
}

fn why_skipped(path: &Path) -> &'static str {
    match path.symlink_metadata() {
        _ if path.is_dir() => "a folder; name it too if its files are wanted",
        Ok(meta) if meta.is_symlink() && !path.exists() => "a link that leads nowhere",
        _ if path.is_file() => "hidden",
        _ => "neither a file nor a folder",
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CatalogError> {
    Ok(std::path::absolute(path).map_err(FileError::io(path, "find"))?)
}

impl World {
    /// The documents, in order.
    pub fn documents(&self) -> impl Iterator<Item = Vec<world::Word>> + use<> {
        let World { corpus, tokens } = *self;
        let mut said = 0;
        (0..).map(move |n| corpus.tokens(n)).take_while(move |document| {
            let wanted = said < tokens;
            said += document.len() as u64;
            wanted
        })
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config = self.corpus.config;
        write!(f, "world:seed={},tokens={}", self.corpus.seed, self.tokens)?;
        if config != world::Config::default() {
            let (split, policy) = (config.split.name(), config.policy.name());
            write!(f, ",split={split},policy={policy},spurious={}", config.spurious)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for World {
    type Err = CatalogError;

    fn from_str(name: &str) -> Result<World, CatalogError> {
        let mut world = World {
            corpus: world::Corpus { seed: 0, config: world::Config::default() },
            tokens: DEFAULT_TOKENS,
        };
        let settings = name.strip_prefix("world").unwrap_or(name).trim_start_matches(':');
        for setting in settings.split(',').filter(|s| !s.is_empty()) {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| invalid!("{name}: expected KEY=VALUE after `world:`, found {setting}"))?;
            world.set(key, value).within(name)?;
        }
        Ok(world)
    }
}

impl World {
    fn set(&mut self, key: &str, value: &str) -> Result<(), CatalogError> {
        let config = &mut self.corpus.config;
        let number = value.replace('_', "");
        match key {
            "seed" => self.corpus.seed = parsed(key, &number)?,
            "tokens" => self.tokens = parsed(key, &number)?,
            "split" => config.split = one_of(key, value)?,
            "policy" => config.policy = one_of(key, value)?,
            "spurious" => config.spurious = parsed(key, value)?,
            _ => return Err(invalid!("expected seed, tokens, split, policy or spurious, found {key}")),
        }
        if self.tokens > MOST_TOKENS {
            return Err(invalid!("tokens={value}: expected at most {MOST_TOKENS}; lower it"));
        }
        if !(0.0..=1.0).contains(&self.corpus.config.spurious) {
            return Err(invalid!("spurious={value}: expected a number from 0 to 1"));
        }
        Ok(())
    }
}

/// A value of a closed set, by its name.
fn one_of<T: serde::de::DeserializeOwned>(key: &str, value: &str) -> Result<T, CatalogError> {
    serde_json::from_value(serde_json::json!(value)).map_err(|e| invalid!("{key}={value}: {e}"))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(key: &str, value: &str) -> Result<T, CatalogError> {
    value.parse().map_err(|e| invalid!("{key}={value}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_worlds_are_read_back() {
        for name in
            ["world:seed=3,tokens=1000", "world:seed=0,tokens=5,split=templates,policy=chat,spurious=0.5"]
        {
            assert_eq!(name.parse::<World>().unwrap().to_string(), name);
        }
        let error = |name: &str| format!("{}", name.parse::<World>().unwrap_err());
        assert!(error("world:seeds=3").contains("found seeds"));
        assert!(error("world:split=tset").contains("unknown variant `tset`"));
        assert!(error("world:seed=x").contains("seed=x"));
        assert!(error("world:spurious=2").contains("from 0 to 1"));
        assert!(error("world:tokens=18446744073709551615").contains("expected at most 4294967295"));
        assert!(error("world:seed").contains("expected KEY=VALUE"));
    }
}
