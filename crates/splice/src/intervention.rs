//! What may be done with one feature of a running model, as it is asked for: `2.res-width1024/17:clamp:30`.
//!
//! x is a row of the site that the dictionary writes, d the feature's decoder row in raw units, f the feature's value, encoded from
//! the row of the site that it reads, s the strength, and p = ⟨x, d⟩ / ‖d‖² how often d stands in x:
//!
//! | method | the row becomes |
//! |---|---|
//! | add | x + s·d |
//! | clamp | x + (s − f)·d: the dictionary's share of the feature is s·d, its error stays |
//! | cap | x − max(0, p − s)·d |
//! | orthogonal | x + (s − 1)·p·d: what is orthogonal to d stays, what is along it is multiplied by s |
//! | ablate | x − f·d, which is clamp to 0 |
//!
//! Cap and orthogonal divide by ‖d‖², so that they are right for a d of any length.

use crate::SpliceError;
use std::fmt;
use std::str::FromStr;

/// What is done with a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// x + s·d.
    Add,
    /// x + (s − f)·d.
    Clamp,
    /// x − max(0, p − s)·d.
    Cap,
    /// x + (s − 1)·p·d.
    Orthogonal,
    /// x − f·d; has no strength.
    Ablate,
}

/// Which tokens' rows are changed; special positions never are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// Those of the prompt and of the answer.
    #[default]
    All,
    /// Those of the prompt.
    Prompt,
    /// Those of the answer, as they are read to choose the next.
    Answer,
}

/// One intervention as a person writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The dictionary's name.
    pub source: String,
    /// Index of the feature.
    pub feature: usize,
    /// What is done with it.
    pub method: Method,
    /// s; 0 for [`Method::Ablate`].
    pub strength: f32,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 5] =
        [Method::Add, Method::Clamp, Method::Cap, Method::Orthogonal, Method::Ablate];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Method::Add => "add",
            Method::Clamp => "clamp",
            Method::Cap => "cap",
            Method::Orthogonal => "orthogonal",
            Method::Ablate => "ablate",
        }
    }
}

impl FromStr for Method {
    type Err = SpliceError;

    fn from_str(name: &str) -> Result<Method, SpliceError> {
        let known = Method::ALL.into_iter().find(|method| method.name() == name);
        known.ok_or_else(|| SpliceError::Method { found: name.to_string() })
    }
}

impl Positions {
    /// All of them.
    pub const ALL: [Positions; 3] = [Positions::All, Positions::Prompt, Positions::Answer];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Positions::All => "all",
            Positions::Prompt => "prompt",
            Positions::Answer => "answer",
        }
    }

    /// Is the token at `position`, after a prompt of `prompt` tokens, among them?
    pub(crate) fn has(self, position: usize, prompt: usize) -> bool {
        match self {
            Positions::All => true,
            Positions::Prompt => position < prompt,
            Positions::Answer => position >= prompt,
        }
    }
}

impl FromStr for Positions {
    type Err = SpliceError;

    fn from_str(name: &str) -> Result<Positions, SpliceError> {
        let known = Positions::ALL.into_iter().find(|positions| positions.name() == name);
        known.ok_or_else(|| SpliceError::Positions { found: name.to_string() })
    }
}

impl FromStr for Asked {
    type Err = SpliceError;

    /// `SOURCE/INDEX:METHOD:STRENGTH`, or `SOURCE/INDEX:ablate`. The source may contain slashes and colons.
    fn from_str(text: &str) -> Result<Asked, SpliceError> {
        let unread = || SpliceError::Asked { found: text.to_string() };
        let (place, action) = text.rsplit_once('/').ok_or_else(unread)?;
        let mut parts = action.split(':');
        let feature = parts.next().and_then(|index| index.parse().ok()).ok_or_else(unread)?;
        let method: Method = parts.next().ok_or_else(unread)?.parse()?;
        let strength = match (method, parts.next()) {
            (Method::Ablate, None) => 0.0,
            (_, Some(number)) => number.parse().map_err(|_| unread())?,
            (_, None) => return Err(unread()),
        };
        if parts.next().is_some() || place.is_empty() {
            return Err(unread());
        }
        Ok(Asked { source: place.to_string(), feature, method, strength })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.source, self.feature, self.method.name())?;
        match self.method {
            Method::Ablate => Ok(()),
            _ => write!(f, ":{}", self.strength),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "2-res-1k/17:clamp:30.5",
            "runs/a:b/2.res/0:add:-4",
            "x/3:ablate",
            "x/3:cap:1e-30",
            "x/1:orthogonal:0",
        ] {
            let asked: Asked = text.parse().unwrap();
            assert_eq!(asked.to_string().parse::<Asked>().unwrap(), asked);
        }
        let asked: Asked = "runs/a:b/2.res/7:add:-4".parse().unwrap();
        assert_eq!((asked.source.as_str(), asked.feature, asked.strength), ("runs/a:b/2.res", 7, -4.0));
        assert_eq!(asked.method, Method::Add);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in ["17:add:1", "x/y:add:1", "x/1", "x/1:add", "x/1:add:1:2", "x/1:add:much", "/1:add:1"] {
            let error = text.parse::<Asked>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("SOURCE/INDEX:METHOD:STRENGTH"), "{error}");
        }
        let error = "x/1:multiply:1".parse::<Asked>().unwrap_err().to_string();
        assert!(error.contains("multiply") && error.contains("orthogonal"), "{error}");
    }
}
