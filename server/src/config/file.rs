//! The TOML file of `--config`.

use super::error::ConfigError;
use super::setting::{SETTINGS, Setting};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The settings of a file, as texts: the same parsers read them that read flags.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) values: BTreeMap<String, Vec<String>>,
}

impl File {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::FileUnreadable {
            path: path.clone(),
            problem: format!("{error}; check the path and its permissions"),
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::FileMalformed {
            path: path.clone(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        let mut values = BTreeMap::new();
        for (key, value) in table {
            if !SETTINGS.iter().any(|setting| setting.name == key) {
                return Err(ConfigError::UnknownKey { path, suggestion: suggestion(&key), key });
            }
            let texts = match value {
                Value::Array(items) => items.into_iter().map(text_of).collect(),
                single => text_of(single).map(|text| vec![text]),
            };
            let texts = texts.ok_or_else(|| ConfigError::FileMalformed {
                path: path.clone(),
                problem: format!(
                    "the value of {key:?} must be a text, a number, true or false, or a list of texts"
                ),
            })?;
            values.insert(key, texts);
        }
        Ok(Self { path, values })
    }
}

/// The setting that was probably meant, if one is close; else where they all stand.
fn suggestion(key: &str) -> String {
    let spelled = key.to_ascii_lowercase().replace('_', "-");
    let distance = |setting: &&Setting| strsim::damerau_levenshtein(setting.name, &spelled);
    match SETTINGS.iter().min_by_key(distance) {
        Some(setting) if distance(&setting) <= 2 + spelled.len() / 8 => {
            format!("did you mean {:?}?", setting.name)
        }
        _ => "`quorate config example` shows all there are".to_owned(),
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_the_setting_that_was_meant() {
        for (key, expected) in [
            ("data_dir", "did you mean \"data-dir\"?"),
            ("listn", "did you mean \"listen\"?"),
            ("Max-Value-Byte", "did you mean \"max-value-bytes\"?"),
            ("hearbeat-interval", "did you mean \"heartbeat-interval\"?"),
            ("quota", "`quorate config example` shows all there are"),
        ] {
            let error = File::parse("q.toml".into(), &format!("{key} = 1")).unwrap_err().to_string();
            assert!(error.contains(&format!("{key:?}")) && error.ends_with(expected), "{error}");
        }
    }
}
