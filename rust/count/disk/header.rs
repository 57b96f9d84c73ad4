//! What stands at the head of a file of counts: which text, split how, they are counts of.

use std::path::Path;

use serde_json::{Value, json};

use crate::count::Pruned;
use crate::{Error, Result};

/// How the text was split, and what was left out of the counts.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub pattern: String,
    pub special_tokens: Vec<String>,
    pub pruned: Option<Pruned>,
}

impl Header {
    pub fn to_json(&self) -> String {
        let mut header = json!({ "pattern": self.pattern, "special_tokens": self.special_tokens });
        if let Some(Pruned { pretokens, occurrences, below }) = self.pruned {
            header["pruned"] =
                json!({ "pretokens": pretokens, "occurrences": occurrences, "below": below });
        }
        header.to_string()
    }

    pub fn parse(header: &[u8]) -> Result<Self, String> {
        let header: Value = serde_json::from_slice(header)
            .map_err(|error| format!("the header is no JSON: {error}"))?;
        let pattern = header["pattern"].as_str().ok_or("the header has no pattern")?;
        let special =
            header["special_tokens"].as_array().ok_or("the header has no special_tokens")?;
        let special =
            special.iter().map(|token| token.as_str().map(str::to_owned)).collect::<Option<_>>();
        Ok(Self {
            pattern: pattern.to_owned(),
            special_tokens: special.ok_or("a special token in the header is no string")?,
            pruned: match &header["pruned"] {
                Value::Null => None,
                pruned => Some(parse_pruned(pruned).ok_or("pruned in the header is no numbers")?),
            },
        })
    }

    /// Refuses to add counts of texts that were split differently.
    pub fn check_same(&self, path: &Path, other: &Self, other_path: &Path) -> Result<()> {
        let (what, one, another) = if self.pattern != other.pattern {
            ("patterns", format!("{:?}", self.pattern), format!("{:?}", other.pattern))
        } else if self.special_tokens != other.special_tokens {
            let quoted = |header: &Self| format!("{:?}", header.special_tokens);
            ("special tokens", quoted(self), quoted(other))
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "counts of different {what} cannot be added: {one} in {}, {another} in {}",
            path.display(),
            other_path.display()
        )))
    }
}

fn parse_pruned(pruned: &Value) -> Option<Pruned> {
    Some(Pruned {
        pretokens: pruned["pretokens"].as_u64()?,
        occurrences: pruned["occurrences"].as_u64()?,
        below: pruned["below"].as_u64()?,
    })
}
