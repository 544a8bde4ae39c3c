//! The front matter by which the Hugging Face Hub makes a model card of a page: library, base model, licence, tags.

/// What a person says of a release for the Hub; the rest is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hub {
    /// The language model's name there, `owner/name`.
    pub base_model: Option<String>,
    /// Short name of a licence, `apache-2.0`.
    pub license: Option<String>,
}

impl Hub {
    /// The front matter, YAML between rules. `library`: what loads it.
    ///
    /// # Panics
    /// A value is no plain word of YAML; see [`Hub::check`].
    pub fn front_matter(&self, library: &str, tags: &[&str]) -> String {
        assert!(self.check().is_ok(), "front matter: a value was not checked");
        let line = |key: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{key}: {value}\n")).unwrap_or_default()
        };
        let tags: String = tags.iter().map(|tag| format!("- {tag}\n")).collect();
        let (base, license) = (line("base_model", &self.base_model), line("license", &self.license));
        format!("---\nlibrary_name: {library}\n{base}{license}tags:\n{tags}---\n")
    }

    /// Are the values words that YAML reads as they are?
    ///
    /// # Errors
    /// Which is not, and what is expected.
    pub fn check(&self) -> Result<(), String> {
        let plain = |text: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
            text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(known)
        };
        let is_id = |id: &str| plain(id) && id.split('/').count() == 2 && !id.ends_with('/');
        match (&self.base_model, &self.license) {
            (Some(id), _) if !is_id(id) => {
                Err(format!("base model: expected a name of the Hub, owner/name, found `{id}`"))
            }
            (_, Some(license)) if !plain(license) || license.contains('/') => {
                Err(format!("license: expected a short name such as apache-2.0, found `{license}`"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_says_stands_between_what_is_known() {
        let hub = Hub { base_model: Some("google/gemma-2-2b".into()), license: Some("cc-by-4.0".into()) };
        assert_eq!(
            hub.front_matter("saelens", &["sparse-autoencoder"]),
            "---\nlibrary_name: saelens\nbase_model: google/gemma-2-2b\nlicense: cc-by-4.0\ntags:\n- sparse-autoencoder\n---\n"
        );
        assert_eq!(
            Hub::default().front_matter("lapidary", &["a"]),
            "---\nlibrary_name: lapidary\ntags:\n- a\n---\n"
        );
        let with = |id: &str| Hub { base_model: Some(id.into()), license: None }.check().is_ok();
        assert!(
            with("a/b-1.5_x")
                && !with("a")
                && !with("a/b/c")
                && !with("a/b: c")
                && !with("a/")
                && !with("/a")
        );
        let license = |text: &str| Hub { base_model: None, license: Some(text.into()) }.check().is_ok();
        assert!(license("mit") && !license("mit\nx: y") && !license("") && !license("a/b"));
    }
}
