//! A feature for people and for scripts: how often it fires, what its direction speaks for, and its strongest places as text.

use crate::ReleaseError;
use lapidary_atlas::{Contexts, Excerpt, Subject, excerpt, excerpts, promoted};
use lapidary_catalog::{CatalogError, Opened};
use lapidary_report::contexts::{FeatureContexts, piece};
use lapidary_report::number::{count, percent, significant};
use lapidary_suite::subjects::Named;
use lapidary_text::Corpus;

/// Characters of a line of text.
const LINE: usize = 92;
/// Tokens that are looked at on each side of a place, at most.
const AROUND: (usize, usize) = (48, 24);
/// Tokens that a direction speaks for.
const PROMOTED: usize = 6;

/// A feature that is shown.
pub struct Shown<'a> {
    /// The model.
    pub opened: &'a Opened,
    /// The text that was looked at.
    pub corpus: &'a Corpus,
    /// Its dictionary.
    pub subject: &'a Subject<'a>,
    /// The same, with its names.
    pub named: &'a Named,
    /// What was seen of the dictionary.
    pub seen: &'a Contexts,
    /// Its number.
    pub feature: u32,
}

impl Shown<'_> {
    /// For a terminal, and as JSON with every token's value.
    ///
    /// # Errors
    /// The model cannot read the text, or a token has no text.
    pub fn card(&self) -> Result<(FeatureContexts, serde_json::Value), ReleaseError> {
        let Shown { opened, corpus, subject, named, seen, feature } = *self;
        let (model, tokenizer) = (opened.model()?, &opened.tokenizer);
        let own = &seen.features[feature as usize];
        let found = excerpts(model, corpus, tokenizer, subject, feature, &own.contexts, AROUND)?;
        let d_out = subject.dictionary.d_out;
        let direction = &subject.dictionary.w_dec[feature as usize * d_out..][..d_out];
        let promoted = promoted(model, direction, PROMOTED).unwrap_or_default();
        let promotes: Vec<String> = promoted
            .iter()
            .map(|(token, _)| tokenizer.decode(&[*token]))
            .collect::<Result<_, _>>()
            .map_err(CatalogError::Text)?;
        let strongest = own.contexts.first().map_or(0.0, |c| c.value);
        let about = format!(
            "fires at {} of {} tokens, {} at most",
            percent(seen.density(feature as usize)),
            count(seen.rows),
            significant(f64::from(strongest), 3)
        );
        let json = serde_json::json!({
            "dictionary": named.name, "site": named.site.to_string(), "feature": feature, "fires": own.fires,
            "density": seen.density(feature as usize), "promotes": promotes,
            "contexts": own.contexts.iter().zip(&found).map(|(c, e)| serde_json::json!({
                "document": c.document, "window": c.window, "position": c.position, "value": c.value, "at": e.at,
                "tokens": e.pieces.iter().map(|p| &p.text).collect::<Vec<_>>(),
                "values": e.pieces.iter().map(|p| p.value).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        });
        let line = |e: &Excerpt| {
            let pieces = &e.pieces[excerpt::fitting(e, LINE)];
            pieces.iter().map(|p| piece(&p.text, f64::from(p.value / strongest))).collect()
        };
        let name = format!("feature {feature} of {}", named.label);
        Ok((FeatureContexts { name, about, promotes, contexts: found.iter().map(line).collect() }, json))
    }
}
