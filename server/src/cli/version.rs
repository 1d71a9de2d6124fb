//! `quorate version`.

use crate::cli::exit::Failure;
use crate::cli::output::{self, Output};
use quorate_node::wire::hello;
use quorate_storage::data_dir::FORMAT_VERSION;
use serde::Serialize;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// The source revision, when the build was told one in `QUORATE_REVISION`: asking git in a build script would
    /// make two builds of the same source differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'static str>,
    /// The format of a data dir, as its file VERSION names it.
    data_dir_format: u32,
    /// What nodes speak among themselves.
    peer_protocol: u16,
}

pub(crate) fn print(output: Output) -> Result<(), Failure> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        revision: option_env!("QUORATE_REVISION"),
        data_dir_format: FORMAT_VERSION,
        peer_protocol: hello::VERSION,
    };
    if output == Output::Json {
        return output::json(&version);
    }
    let revision = version.revision.map(|revision| format!("revision {revision}\n")).unwrap_or_default();
    let Version { version, data_dir_format, peer_protocol, .. } = version;
    output::data(
        format!(
            "quorate {version}\n{revision}data dir format {data_dir_format}\npeer protocol {peer_protocol}\n"
        )
        .as_bytes(),
    )
}
