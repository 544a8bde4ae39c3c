//! A dictionary in another format: its parameters with the same bits, and what is said of it beside them, from the source and
//! from whoever asks.

use crate::error::invalid;
use crate::{
    Dictionary, DictionaryError, Meta, ModelRef, Probe, Sites, load, sae_lens, sites, unscale_embedding,
};
use lapidary_files::{self as files, Kind};
use lapidary_kernels::Device;
use std::path::PathBuf;

/// A dictionary's folder by itself, in either format that is written.
pub const DICTIONARY: Kind = Kind {
    name: "dictionary",
    owns: &["cfg.json", "sae_weights.safetensors", "lapidary.json", "card.md", "params.npz"],
    resumed_by: None,
};

/// Rows of the probe of a dictionary that comes without one.
const PROBE_ROWS: usize = 4;

/// What is to become of a dictionary.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// Where it is, in any format that [`load`] reads.
    pub source: PathBuf,
    /// The site that it reads, instead of what the source says.
    pub site: Option<String>,
    /// The site that it writes, likewise.
    pub site_out: Option<String>,
    /// The model that it belongs to, likewise.
    pub model_name: Option<String>,
    /// It reads the unscaled embedding, and is to read the scaled one: see [`unscale_embedding`].
    pub unscaled_embedding: bool,
}

impl Conversion {
    /// The dictionary as it is to be written, and what the source says of it.
    ///
    /// # Errors
    /// The source cannot be read or does not give what its probe says, or is no dictionary of the embedding where it must be one.
    pub fn read(&self, device: Device) -> Result<(Dictionary, Option<Meta>), DictionaryError> {
        let (dictionary, meta) = load(&self.source)?;
        if let Some(meta) = &meta {
            meta.probe.verify(&self.source, &dictionary, device)?;
        }
        if !self.unscaled_embedding {
            return Ok((dictionary, meta));
        }
        self.check_embedding(&dictionary, meta.as_ref())?;
        let dictionary = unscale_embedding(&dictionary);
        let probe = || Probe::synthetic(&dictionary, device, PROBE_ROWS);
        let meta = meta.map(|meta| Meta { probe: probe(), ..meta });
        Ok((dictionary, meta))
    }

    /// The source's meta data, with what was asked for; or fresh ones, with a probe made from the encoder's rows.
    ///
    /// # Errors
    /// Nobody says the sites or the model.
    pub fn described(
        &self,
        dictionary: &Dictionary,
        meta: Option<Meta>,
        device: Device,
    ) -> Result<Meta, DictionaryError> {
        let sites = self.places(dictionary, meta.as_ref())?;
        let mut meta = match meta {
            Some(meta) => meta,
            None => self.fresh(dictionary, &sites, device)?,
        };
        if meta.site != sites.read {
            meta.hf_hook_name = None; // which module that is depends on the model's family
        }
        (meta.site, meta.site_out) = (sites.read, sites.written);
        if let Some(name) = &self.model_name {
            meta.model = ModelRef { name: name.clone(), hash: None, precision: None };
        }
        Ok(meta)
    }

    /// The source's card, or a line that says where this comes from.
    pub fn card(&self) -> String {
        let own = files::read_string(&self.source.join(sae_lens::CARD), 1 << 20);
        own.unwrap_or_else(|_| {
            let name = self.source.file_name().unwrap_or_default().to_string_lossy();
            format!("# A converted dictionary\n\nRewritten from `{name}` by `lapidary convert`. Nothing was measured.\n")
        })
    }

    /// Scaling the decoder is right only where it writes the embedding. An npz says no site: there it is taken for one that does.
    fn check_embedding(&self, dictionary: &Dictionary, meta: Option<&Meta>) -> Result<(), DictionaryError> {
        let Sites { read, written } = self.places(dictionary, meta)?;
        if (read.as_str(), written.as_str()) != ("embed", "embed") {
            let expected = "a dictionary that reads and writes embed";
            let found = format!("one from {read} to {written}");
            return Err(invalid(&self.source, expected, found, "convert it without --unscaled-embedding"));
        }
        Ok(())
    }

    fn places(&self, dictionary: &Dictionary, meta: Option<&Meta>) -> Result<Sites, DictionaryError> {
        let silent = self.unscaled_embedding && !self.source.join(sae_lens::CFG).is_file();
        let site = self.site.as_deref().or(silent.then_some("embed"));
        sites(&self.source, dictionary, meta, site, self.site_out.as_deref())
    }

    fn fresh(&self, dictionary: &Dictionary, sites: &Sites, device: Device) -> Result<Meta, DictionaryError> {
        let origin = match self.source.join(sae_lens::CFG).is_file() {
            true => sae_lens::provenance(&self.source)?,
            false => Default::default(),
        };
        let name = self.model_name.clone().or(origin.model).ok_or_else(|| {
            invalid(&self.source, "it to say its model", "nothing", "name it with --model-name")
        })?;
        let stays = origin.site.as_ref() == Some(&sites.read);
        Ok(Meta {
            site: sites.read.clone(),
            site_out: sites.written.clone(),
            hf_hook_name: origin.hf_hook_name.filter(|_| stays),
            model: ModelRef { name, hash: None, precision: None },
            context: origin.context,
            prepend_bos: origin.prepend_bos.unwrap_or(true),
            special_tokens: origin.special_tokens,
            l0: None,
            training: None,
            probe: Probe::synthetic(dictionary, device, PROBE_ROWS),
        })
    }
}
