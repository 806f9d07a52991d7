//! What is wrong with the configuration, in words an operator can act on.

use std::fmt;

/// Everything that is wrong, found in one pass.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

/// One value that can not be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, key or variable, as its source spells it.
    pub key: String,
    /// Where the value came from: a flag, a variable, a file or the default.
    pub source: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

impl ConfigError {
    pub(super) fn one(
        key: impl Into<String>,
        source: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            problems: vec![Problem {
                key: key.into(),
                source: source.into(),
                reason: reason.into(),
            }],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration can not be used")?;
        for Problem {
            key,
            source,
            reason,
        } in &self.problems
        {
            write!(f, "\n  {key} ({source}): {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
