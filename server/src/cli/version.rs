//! `quorate version`.

use crate::cli::exit::Failure;
use crate::cli::output::{self, Output};
use serde::Serialize;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// The source revision, when the build was told one in `QUORATE_REVISION`: asking git in a build script would
    /// make two builds of the same source differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'static str>,
}

pub(crate) fn print(output: Output) -> Result<(), Failure> {
    let version = Version { version: env!("CARGO_PKG_VERSION"), revision: option_env!("QUORATE_REVISION") };
    if output == Output::Json {
        return output::json(&version);
    }
    let revision = version.revision.map(|revision| format!(" (revision {revision})")).unwrap_or_default();
    output::line(&format!("quorate {}{revision}", version.version))
}
