//! The TOML file of `--config`.

use super::error::ConfigError;
use super::setting::SETTINGS;
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
                let known = SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>().join(", ");
                return Err(ConfigError::UnknownKey { path, key, known });
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

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}
