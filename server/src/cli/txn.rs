//! `txn`: a transaction, as JSON.

use std::path::PathBuf;

use clap::Args;

use crate::cli::arguments::ClientFlags;
use crate::cli::client::{call, read_input};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct TxnCommand {
    /// The file that holds it; - is stdin
    file: PathBuf,
    #[command(flatten)]
    client: ClientFlags,
}

const EXAMPLE: &str = r#"When every comparison holds, the operations of "success" are done, else those of "failure":

  {"compare": [{"key": "a", "target": "mod_revision", "op": "=", "value": 7}],
   "success": [{"put": {"key": "a", "value": "aGVsbG8=", "ttl": "30s"}}, {"delete": {"key": "b"}}],
   "failure": [{"get": {"key": "a"}}]}

Targets are value (base64), version, create_revision and mod_revision; a missing key has 0 and no value. The result
is printed as JSON. Exit code 4 says that a comparison did not hold."#;

pub(crate) fn txn(command: &TxnCommand) -> Result<(), Failure> {
    let body = read_input(&command.file)?;
    let result = call(&command.client, async |client| client.transact_json(body).await)?;
    output::json(&result)?;
    if result.succeeded {
        return Ok(());
    }
    let message = "a comparison did not hold: the operations of \"failure\" were done";
    Err(Failure::Ended(Exit::PreconditionFailed, message.to_owned()))
}
