//! What `nbpack.toml` says about files: `[classify]` and `[export]`.

use serde::Deserialize;

use super::{Options, glob::Glob, model::Class};

/// `nbpack.toml` says something that is not understood.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// It is no TOML, or a key has a value of another kind.
    #[error("it is not valid")]
    Toml(#[source] toml::de::Error),
    /// A pattern that is none.
    #[error("`{pattern}` is not a pattern")]
    Pattern {
        /// As written.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    classify: toml::Table,
    export: Export,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Export {
    exclude: Vec<String>,
    include: Vec<String>,
    size_limit: Option<u64>,
    with_results: Option<bool>,
}

impl Options {
    /// Adds what the text of an `nbpack.toml` says. What it does not say stays as it is.
    pub fn override_with(&mut self, text: &str) -> Result<(), OverrideError> {
        let file: File = toml::from_str(text).map_err(OverrideError::Toml)?;
        for (pattern, class) in file.classify {
            let class: Class = class.try_into().map_err(OverrideError::Toml)?;
            self.classes.push((glob(&pattern)?, class));
        }
        self.exclude(&file.export.exclude)?;
        for pattern in &file.export.include {
            self.includes.push(glob(pattern)?);
        }
        self.size_limit = file.export.size_limit.or(self.size_limit);
        self.with_results = file.export.with_results.unwrap_or(self.with_results);
        Ok(())
    }

    /// Adds patterns of files that stay out.
    pub fn exclude(&mut self, patterns: &[String]) -> Result<(), OverrideError> {
        for pattern in patterns {
            self.excludes.push(glob(pattern)?);
        }
        Ok(())
    }
}

fn glob(pattern: &str) -> Result<Glob, OverrideError> {
    Glob::new(pattern).map_err(|source| OverrideError::Pattern { pattern: pattern.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_limits_are_taken_over() {
        let mut options = Options::default();
        let text = "[classify]\n\"*.parquet\" = \"dataset\"\n[export]\nexclude = [\"big/**\"]\nsize_limit = 10\n";
        options.override_with(text).unwrap();
        assert_eq!(options.classes.len(), 1);
        assert_eq!(options.excludes.len(), 1);
        assert_eq!(options.size_limit, Some(10));
    }

    #[test]
    fn a_class_that_does_not_exist_is_refused() {
        assert!(Options::default().override_with("[classify]\n\"*.x\" = \"treasure\"\n").is_err());
    }
}
