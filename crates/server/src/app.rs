//! What is served: an atlas, and, where the weights are at hand, the model and its dictionaries to type to and to steer.

use crate::error::{Refusal, ServeError};
use crate::limits::Limits;
use crate::work::Work;
use lapidary_atlas::{Atlas, Subject};
use lapidary_catalog::Opened;
use lapidary_dictionary::hooks::{Modules, hook};
use lapidary_lm::Model;
use lapidary_splice::Placed;
use lapidary_suite::subjects::Named;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A model with the dictionaries of an atlas.
pub struct Live {
    /// Model and tokenizer; the weights are loaded.
    pub opened: Opened,
    /// One for each of the atlas's dictionaries, in its order.
    pub dictionaries: Vec<Named>,
}

/// How the server is asked for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who asks must know it, if there is one.
    pub token: Option<String>,
    /// Names of hosts, beside those of the loopback, under which the server is found.
    pub hosts: Vec<String>,
    /// What `lapidary steer` needs to find the same dictionaries and model, as a command line.
    pub command: String,
    /// Is the app the static copy?
    pub is_static: bool,
    /// Draws of `random`.
    pub seed: u64,
    /// Bounds of requests.
    pub limits: Limits,
}

/// Everything that a request may need.
pub struct App {
    pub(crate) atlas: Atlas,
    pub(crate) settings: Settings,
    pub(crate) work: Work,
    live: Option<Live>,
    /// Of each dictionary, when first asked for.
    densities: Vec<OnceLock<Vec<f64>>>,
    draws: AtomicU64,
    stopped: AtomicBool,
}

impl App {
    /// # Errors
    /// The dictionaries are not those of the atlas.
    pub fn new(atlas: Atlas, live: Option<Live>, settings: Settings) -> Result<App, ServeError> {
        if let Some(live) = &live {
            check(&atlas, live)?;
        }
        let dictionaries = atlas.suite().dictionaries.len();
        Ok(App {
            densities: (0..dictionaries).map(|_| OnceLock::new()).collect(),
            work: Work::new(settings.limits),
            draws: AtomicU64::new(settings.seed),
            atlas,
            settings,
            live,
            stopped: AtomicBool::new(false),
        })
    }

    /// Bounds of requests.
    pub(crate) fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Can texts be typed?
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// The model and its dictionaries.
    pub(crate) fn live(&self) -> Result<(&Live, &Model), Refusal> {
        let live = self.live.as_ref().ok_or_else(Refusal::no_model)?;
        Ok((live, live.opened.model()?))
    }

    /// A number that was not drawn before (splitmix64).
    pub(crate) fn draw(&self) -> u64 {
        let state = self.draws.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The share of rows in which each feature of dictionary `d` fires [F].
    pub(crate) fn densities(&self, d: usize) -> Result<&[f64], Refusal> {
        if let Some(known) = self.densities[d].get() {
            return Ok(known);
        }
        let read = self.atlas.densities(&self.atlas.suite().dictionaries[d].source)?;
        Ok(self.densities[d].get_or_init(|| read))
    }

    /// TransformerLens's name of what dictionary `d` reads.
    pub(crate) fn hook(&self, d: usize) -> Option<String> {
        hook(&self.atlas.suite().dictionaries[d].site, Modules::Llama).map(|hook| hook.hook_name)
    }

    /// Ends what is still being written.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Was it stopped?
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Live {
    /// Dictionary `d` for the atlas.
    pub(crate) fn subject(&self, d: usize) -> Subject<'_> {
        let one = &self.dictionaries[d];
        Subject { name: &one.name, site: one.site, dictionary: &one.dictionary }
    }

    /// Dictionary `d` in the model.
    pub(crate) fn placed(&self, d: usize) -> Placed<'_> {
        let one = &self.dictionaries[d];
        Placed { name: &one.name, site: one.site, output: one.output, dictionary: &one.dictionary }
    }
}

/// The dictionaries are those that the atlas is of, by name and width.
fn check(atlas: &Atlas, live: &Live) -> Result<(), ServeError> {
    let (expected, found) = (&atlas.suite().dictionaries, &live.dictionaries);
    let differs =
        || expected.iter().zip(found).find(|(e, f)| e.name != f.name || e.features != f.dictionary.width());
    let folder = atlas.folder.display();
    if expected.len() != found.len() {
        let (expected, found) = (expected.len(), found.len());
        return Err(ServeError::Invalid(format!(
            "{folder}: expected the {expected} dictionaries that the atlas is of, found {found}; name the run or release that it was built from"
        )));
    }
    match differs() {
        None => Ok(()),
        Some((e, f)) => Err(ServeError::Invalid(format!(
            "{folder}: expected the dictionary {} with {} features, found {} with {}; name the run or release that it was built from",
            e.name,
            e.features,
            f.name,
            f.dictionary.width()
        ))),
    }
}
