//! `quorate debug bundle`: what nodes say of themselves, and of this machine, in one archive for whoever is to help.
//!
//! No keys and no values are in it, and whatever has the form of a secret is taken out of files that are added.

mod scrub;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate_client::{Client, Endpoint};

use crate::cli::arguments::ClientFlags;
use crate::cli::client::run as run_client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::files::{failed, name_durably, refuse_existing};
use crate::cli::inspect;
use crate::cli::output;
use crate::paths::with_suffix;
use crate::real::wall_clock_seconds;
use scrub::scrub;

/// What each node is asked, and the file that its answer becomes. Nothing of it names a key.
const QUESTIONS: [(&str, &str); 5] = [
    ("/version", "version.json"),
    ("/raft/status", "status.json"),
    ("/raft/members?consistency=stale", "members.json"),
    ("/readyz?verbose", "readyz.json"),
    ("/metrics", "metrics.txt"),
];

/// What the system says of this machine and this process.
const MACHINE: [(&str, &str); 4] = [
    ("/proc/version", "version.txt"),
    ("/proc/loadavg", "load.txt"),
    ("/proc/meminfo", "memory.txt"),
    ("/proc/self/limits", "limits.txt"),
];

/// So much of the end of a log is taken, in bytes.
const MOST_LOG_BYTES: u64 = 4 << 20;

#[derive(Debug, Args)]
pub(crate) struct BundleCommand {
    /// The archive to write, a tar file; until it is whole, FILE.partial
    file: PathBuf,
    /// Take the place of a file that is there
    #[arg(long)]
    overwrite: bool,
    /// Add what this data dir holds, as `quorate inspect` shows it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Add this file of settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Add the last 4 MiB of this log
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn run(command: &BundleCommand) -> Result<(), Failure> {
    refuse_existing(&command.file, command.overwrite)?;
    let mut bundle = Bundle::begin(&command.file)?;
    bundle.add("about.txt", &about())?;
    let answered = run_client(&command.client, async |client| bundle.add_nodes(&client).await)?;
    for (path, name) in MACHINE {
        // Not every system has all of them.
        if let Ok(text) = fs::read_to_string(path) {
            bundle.add(&format!("machine/{name}"), &text)?;
        }
    }
    if let Some(directory) = &command.data_dir {
        let seen = inspect::as_json(directory).unwrap_or_else(|failure| format!("{}\n", told(&failure)));
        bundle.add("data-dir.json", &seen)?;
    }
    if let Some(path) = &command.config {
        bundle.add("config.toml", &end_of(path)?)?;
    }
    for (number, path) in command.log.iter().enumerate() {
        bundle.add(&format!("logs/{number}-{}", file_name(path)), &end_of(path)?)?;
    }
    bundle.finish(&command.file)?;
    output::line(&command.file.display().to_string())?;
    if answered {
        return Ok(());
    }
    let message = format!("no node answered; {} says why, and has the rest", command.file.display());
    Err(Failure::Ended(Exit::Unavailable, message))
}

fn about() -> String {
    format!(
        "quorate {} debug bundle, {} seconds after 1970. No keys and values are in it, nor secrets that it could tell.\n",
        env!("CARGO_PKG_VERSION"),
        wall_clock_seconds()
    )
}

/// The archive, as far as it is written.
struct Bundle {
    path: PathBuf,
    archive: tar::Builder<File>,
}

impl Bundle {
    /// For its owner alone: it tells addresses and names.
    fn begin(file: &Path) -> Result<Bundle, Failure> {
        let path = with_suffix(file, ".partial");
        let made = || {
            // What is left of one that broke off may be somebody else's, or lead elsewhere.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)
        };
        let archive = tar::Builder::new(made().map_err(|error| failed("write", &path, &error))?);
        Ok(Bundle { path, archive })
    }

    /// Adds a file, without what has the form of a secret.
    fn add(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let text = scrub(text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(wall_clock_seconds());
        let added = self.archive.append_data(&mut header, name, text.as_bytes());
        added.map_err(|error| failed("write", &self.path, &error))
    }

    /// Adds what each node says; whether one said anything.
    async fn add_nodes(&mut self, client: &Client) -> Result<bool, Failure> {
        let mut answered = false;
        for endpoint in client.endpoints() {
            answered |= self.add_node(client, endpoint).await?;
        }
        Ok(answered)
    }

    /// The same of one. When it does not answer the first question it is asked no other: on each of them a dead
    /// machine would be waited for to the end of the time-out.
    async fn add_node(&mut self, client: &Client, endpoint: &Endpoint) -> Result<bool, Failure> {
        let (folder, mut answered) = (folder_of(endpoint), false);
        for (path, name) in QUESTIONS {
            let text = match client.answer_of(endpoint, path).await {
                Ok((status, body)) => {
                    answered = true;
                    let head = if status == 200 { String::new() } else { format!("{status}\n") };
                    head + &String::from_utf8_lossy(&body)
                }
                Err(error) => {
                    output::say(&format!("quorate: {endpoint}{path}: {error}"));
                    if !answered {
                        let note = format!("It does not answer, and was asked nothing but {path}: {error}\n");
                        self.add(&format!("nodes/{folder}/no-answer.txt"), &note)?;
                        return Ok(false);
                    }
                    format!("{error}\n")
                }
            };
            self.add(&format!("nodes/{folder}/{name}"), &text)?;
        }
        Ok(answered)
    }

    fn finish(self, file: &Path) -> Result<(), Failure> {
        let written = self.archive.into_inner().map_err(|error| failed("write", &self.path, &error))?;
        name_durably(&written, &self.path, file)
    }
}

/// A name for what an endpoint says: without what is special in paths.
fn folder_of(endpoint: &Endpoint) -> String {
    let text = endpoint.to_string();
    let address = text.split_once("://").map_or(&*text, |(_, address)| address);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    address.trim_end_matches('/').chars().map(plain).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "log".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The end of a file, as text.
fn end_of(path: &Path) -> Result<String, Failure> {
    let read = || {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(MOST_LOG_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(MOST_LOG_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A secret that is cut in two can't be told any more: so not in the middle of a line.
        let whole_lines = || text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned());
        Ok(if from == 0 { text } else { whole_lines() })
    };
    read().map_err(|error| failed("read", path, &error))
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Ended(_, message) => message.clone(),
        other => format!("{other:?}"),
    }
}
