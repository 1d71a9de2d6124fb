//! `export` and `import`: the whole store as a `data.json`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate_client::{Client, Export};
use quorate_storage::data_json;

use crate::cli::arguments::ClientFlags;
use crate::cli::client::{is_stream, read_input, run};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::paths::with_suffix;

/// Base64 makes four bytes of three, and the default `--max-request-bytes` is 4 MiB; a part is one entry of the log, so
/// smaller is kinder to the replication of everything else.
const PART_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct ExportCommand {
    /// The file to write; - is stdout
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    client: ClientFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImportCommand {
    /// The file to read; - is stdin. Large files are sent in parts of about 1 MiB
    file: PathBuf,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn export(command: &ExportCommand) -> Result<(), Failure> {
    run(&command.client, async |client| {
        let export = client.export().await?;
        if is_stream(&command.file) { print(export).await } else { write(export, &command.file).await }
    })
}

async fn print(mut export: Export) -> Result<(), Failure> {
    while let Some(piece) = export.piece().await? {
        output::data(&piece)?;
    }
    Ok(())
}

/// The file gets its name when all of it is there, so that half an export is never taken for one.
async fn write(mut export: Export, file: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("the file {} can't be written: {error}", file.display()));
    let partial = with_suffix(file, ".partial");
    let mut writer = BufWriter::new(File::create(&partial).map_err(failed)?);
    let mut progress = export.bytes().map(|bytes| Progress::new(bytes, "received"));
    while let Some(piece) = export.piece().await? {
        writer.write_all(&piece).map_err(failed)?;
        if let Some(progress) = &mut progress {
            progress.step(piece.len() as u64);
        }
    }
    writer.flush().map_err(failed)?;
    fs::rename(&partial, file).map_err(failed)?;
    if let Some(progress) = &progress {
        progress.end();
    }
    Ok(())
}

/// Sends the file in parts that any server takes by default. The whole file is checked first, so that a bad entry at
/// its end does not leave its beginning in the store.
pub(crate) fn import(command: &ImportCommand) -> Result<(), Failure> {
    let file = command.file.display();
    let decoded = data_json::decode(&read_input(&command.file)?);
    let entries = decoded.map_err(|error| Failure::failed(format!("{file}: {error}")))?;
    run(&command.client, async |client| send(&client, &entries).await)
}

async fn send(client: &Client, entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Failure> {
    let bytes =
        |part: &[(&[u8], &[u8])]| part.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    let parts = parts(entries);
    let total: usize = parts.iter().map(|part| bytes(part)).sum();
    let mut progress = Progress::new(total as u64, "imported");
    let mut written = 0;
    for part in parts {
        let data_json = data_json::encode(part.iter().copied()).into();
        if let Err(error) = client.import(data_json).await {
            progress.end();
            if written > 0 {
                let all = entries.len();
                output::say(&format!(
                    "quorate: {written} of {all} entries were written, then it failed; import again"
                ));
            }
            return Err(error.into());
        }
        written += part.len();
        progress.step(bytes(&part) as u64);
    }
    progress.end();
    Ok(())
}

/// Splits entries so that each part is about [`PART_BYTES`] of keys and values, or a single entry that is larger.
fn parts(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Vec<(&[u8], &[u8])>> {
    let mut parts: Vec<Vec<(&[u8], &[u8])>> = Vec::new();
    let mut part_bytes = 0;
    for (key, value) in entries {
        let entry_bytes = key.len() + value.len();
        match parts.last_mut() {
            Some(part) if part_bytes + entry_bytes <= PART_BYTES => part.push((key, value)),
            _ => {
                parts.push(vec![(key, value)]);
                part_bytes = 0;
            }
        }
        part_bytes += entry_bytes;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_parted_and_nothing_of_it_is_lost() {
        let sizes = [10, PART_BYTES, 10, PART_BYTES / 2, PART_BYTES / 3, PART_BYTES / 3];
        let entries: BTreeMap<_, _> =
            (0_u8..).zip(sizes).map(|(key, bytes)| (vec![key], vec![key; bytes])).collect();
        let parts = parts(&entries);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 3, 1]);
        let together =
            parts.into_iter().flatten().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(entries, together);
    }
}
