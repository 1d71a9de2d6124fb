//! Finding a setting's text, wherever it is given.

use super::error::{ConfigError, Origin};
use super::file::File;
use super::setting::variable;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;

/// What the command line gave.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The values of each flag, by its long name; a switch that is on has the one value `true`.
    pub values: BTreeMap<String, Vec<String>>,
    /// The file of `--config`.
    pub config_file: Option<String>,
}

/// What the configuration takes from the process it runs in; tests bring their own.
pub struct Surroundings<'a> {
    /// Reads an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// An address of this machine that others could dial, for error messages that show what to write.
    pub own_address: &'a dyn Fn() -> Option<IpAddr>,
}

/// Looks in every place, in order, and remembers where each setting was found.
pub(crate) struct Lookup<'a> {
    flags: &'a Flags,
    surroundings: &'a Surroundings<'a>,
    file: File,
    pub(crate) origins: BTreeMap<&'static str, Origin>,
}

/// A text, and where it was found.
pub(crate) struct Found {
    pub(crate) texts: Vec<String>,
    pub(crate) origin: Origin,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(flags: &'a Flags, surroundings: &'a Surroundings<'a>) -> Result<Self, ConfigError> {
        let from_variable = read_variable(surroundings, "config", &variable("config"))?;
        let file = match flags.config_file.as_ref().or(from_variable.as_ref()) {
            Some(path) => File::read(Path::new(path))?,
            None => File::default(),
        };
        Ok(Self { flags, surroundings, file, origins: BTreeMap::new() })
    }

    /// A setting that has a default.
    pub(crate) fn single<T, E: Display>(
        &mut self,
        setting: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        let found = self.find(setting, &[])?;
        let found =
            found.unwrap_or_else(|| Found { texts: vec![default.to_owned()], origin: Origin::Default });
        self.take(setting, found, parse)
    }

    /// A setting that may be absent; `seed` are the seed's texts for it, which rank below `QUORATE_…`.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        setting: &'static str,
        seed: &[Found],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        match self.find(setting, seed)? {
            Some(found) => self.take(setting, found, parse).map(Some),
            None => Ok(None),
        }
    }

    /// A setting with any number of values.
    pub(crate) fn list<T, E: Display>(
        &mut self,
        setting: &'static str,
        seed: &[Found],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(found) = self.find(setting, seed)? else { return Ok(Vec::new()) };
        let pieces = found.texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        let parsed = pieces.map(|piece| {
            parse(piece).map_err(|problem| bad_value(setting, found.origin.clone(), piece, &problem))
        });
        let parsed = parsed.collect();
        self.origins.insert(setting, found.origin);
        parsed
    }

    /// One of the seed's variables, as a candidate for a setting.
    pub(crate) fn seed(&self, setting: &'static str, name: &str) -> Result<Option<Found>, ConfigError> {
        let text = read_variable(self.surroundings, setting, name)?;
        Ok(text.map(|text| Found { texts: vec![text], origin: Origin::Environment(name.to_owned()) }))
    }

    fn find(&self, setting: &'static str, seed: &[Found]) -> Result<Option<Found>, ConfigError> {
        if let Some(texts) = self.flags.values.get(setting) {
            return Ok(Some(Found { texts: texts.clone(), origin: Origin::Flag }));
        }
        if let Some(found) = self.seed(setting, &variable(setting))? {
            return Ok(Some(found));
        }
        if let Some(found) = seed.first() {
            return Ok(Some(Found { texts: found.texts.clone(), origin: found.origin.clone() }));
        }
        let in_file = self.file.values.get(setting);
        Ok(in_file.map(|texts| Found { texts: texts.clone(), origin: Origin::File(self.file.path.clone()) }))
    }

    fn take<T, E: Display>(
        &mut self,
        setting: &'static str,
        found: Found,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        let [text] = found.texts.as_slice() else {
            let all = found.texts.join(", ");
            return Err(bad_value(setting, found.origin, &all, &"give one value, not a list"));
        };
        let value =
            parse(text).map_err(|problem| bad_value(setting, found.origin.clone(), text, &problem))?;
        self.origins.insert(setting, found.origin);
        Ok(value)
    }
}

/// A variable's text; unset and empty are the same.
fn read_variable(
    surroundings: &Surroundings<'_>,
    setting: &'static str,
    name: &str,
) -> Result<Option<String>, ConfigError> {
    let raw = (surroundings.variable)(name).filter(|raw| !raw.is_empty());
    let text = raw.map(OsString::into_string).transpose();
    text.map_err(|raw| {
        let origin = Origin::Environment(name.to_owned());
        bad_value(setting, origin, &raw.to_string_lossy(), &"it is not UTF-8")
    })
}

fn bad_value(setting: &'static str, origin: Origin, value: &str, problem: &impl Display) -> ConfigError {
    ConfigError::BadValue { setting, origin, value: value.to_owned(), problem: problem.to_string() }
}
