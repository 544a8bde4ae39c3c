//! Which site a dictionary reads and which it writes: by what is asked for, else by what its files say.
//!
//! An SAE writes where it reads, so it moves as a whole. A transcoder has two sites, and one that names no output, or one that
//! has no name here, must be told: it would silently become an SAE.

use crate::error::invalid;
use crate::sae_lens::{self, Provenance};
use crate::{Dictionary, DictionaryError, Meta, hooks};
use std::path::Path;

/// A dictionary's place in its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sites {
    /// The site that it reads.
    pub read: String,
    /// The site that it writes; the same but for a transcoder.
    pub written: String,
}

/// The sites of `dictionary`, which [`load`](crate::load) read at `path` with `meta`. `site` and `site_out` (`--site` and
/// `--site-out`) go before what the files say. An error where neither says it, and where a name is no site.
pub fn sites(
    path: &Path,
    dictionary: &Dictionary,
    meta: Option<&Meta>,
    site: Option<&str>,
    site_out: Option<&str>,
) -> Result<Sites, DictionaryError> {
    let said = said(path, meta)?;
    let Some(read) = site.or(said.site.as_deref()) else {
        let next = "name it with --site, for example --site 3.res";
        return Err(invalid(path, "a dictionary that says its site", unknown(&said.hook_name), next));
    };
    let elsewhere = said.transcoder || dictionary.d_in != dictionary.d_out || dictionary.w_skip.is_some();
    let written = match (site_out, said.site_out.as_deref()) {
        (Some(asked), _) => asked,
        (None, Some(written)) if Some(written) != said.site.as_deref() => written,
        (None, None) if elsewhere => {
            let next = "name it with --site-out, for example --site-out 3.mlp";
            let expected = "a transcoder that says the site that it writes";
            return Err(invalid(path, expected, unknown(&said.hook_name_out), next));
        }
        (None, _) => read,
    };
    for name in [read, written] {
        hooks::hook(name, hooks::Modules::Llama).ok_or_else(|| DictionaryError::Site(name.into()))?;
    }
    Ok(Sites { read: read.into(), written: written.into() })
}

/// What the files say: ours in `lapidary.json`, SAELens' in `cfg.json`, an npz nothing.
fn said(path: &Path, meta: Option<&Meta>) -> Result<Provenance, DictionaryError> {
    match meta {
        Some(meta) => Ok(Provenance {
            site: Some(meta.site.clone()),
            site_out: Some(meta.site_out.clone()),
            ..Provenance::default()
        }),
        None if sae_lens::is_folder(path) => sae_lens::provenance(path),
        None => Ok(Provenance::default()),
    }
}

fn unknown(hook: &Option<String>) -> String {
    match hook {
        Some(hook) => format!("`{}`, which is no site here", hook.chars().take(80).collect::<String>()),
        None => "none".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::tests::{noise, random};
    use crate::meta::tests::meta;

    fn found(
        dictionary: &Dictionary,
        meta: Option<&Meta>,
        site: Option<&str>,
        out: Option<&str>,
    ) -> Result<(String, String), String> {
        let sites = sites(Path::new("params.npz"), dictionary, meta, site, out);
        sites.map(|s| (s.read, s.written)).map_err(|e| e.to_string())
    }

    fn both(read: &str, written: &str) -> Result<(String, String), String> {
        Ok((read.into(), written.into()))
    }

    #[test]
    fn an_sae_moves_as_a_whole_and_a_transcoder_keeps_its_output() {
        let dictionary = random(1, 5, 4, 4);
        let sae = meta(&dictionary, "3.res");
        let transcoder = Meta { site: "3.mlp-in".into(), site_out: "3.mlp".into(), ..sae.clone() };
        assert_eq!(found(&dictionary, Some(&sae), None, None), both("3.res", "3.res"));
        assert_eq!(found(&dictionary, Some(&sae), Some("1.res"), None), both("1.res", "1.res"));
        assert_eq!(found(&dictionary, Some(&sae), None, Some("4.res")), both("3.res", "4.res"));
        assert_eq!(found(&dictionary, Some(&transcoder), Some("1.mlp-in"), None), both("1.mlp-in", "3.mlp"));
        assert_eq!(found(&dictionary, Some(&transcoder), None, Some("2.mlp")), both("3.mlp-in", "2.mlp"));
        let text = found(&dictionary, Some(&sae), Some("3.resid"), None).unwrap_err();
        assert!(text.contains("found `3.resid`"), "{text}");
    }

    /// An npz says nothing; what does not write as widely as it reads, or has a skip, writes somewhere else.
    #[test]
    fn what_no_file_says_is_asked_for() {
        let sae = random(1, 5, 4, 4);
        assert!(found(&sae, None, None, None).unwrap_err().contains("found none; name it with --site,"));
        assert_eq!(found(&sae, None, Some("3.res"), None), both("3.res", "3.res"));
        let narrow = random(1, 5, 4, 3);
        let skip = Dictionary { w_skip: Some(noise(2, 16)), ..sae };
        for transcoder in [&narrow, &skip] {
            let text = found(transcoder, None, Some("3.res"), None).unwrap_err();
            assert!(text.contains("found none; name it with --site-out"), "{text}");
            assert_eq!(found(transcoder, None, Some("3.res"), Some("3.mlp")), both("3.res", "3.mlp"));
        }
    }
}
