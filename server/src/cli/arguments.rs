//! The commands and their flags. Help texts are the doc comments of the fields.

use crate::cli::backup::BackupCommand;
use crate::cli::bench::BenchFlags;
use crate::cli::certs::CertsCommand;
use crate::cli::configuration::ConfigCommand;
use crate::cli::data::{ExportCommand, ImportCommand};
use crate::cli::debug::DebugCommand;
use crate::cli::dev::DevFlags;
use crate::cli::doctor::DoctorCommand;
use crate::cli::elect::ElectCommand;
use crate::cli::exit::Failure;
use crate::cli::keys::{DeleteCommand, GetCommand, PutCommand};
use crate::cli::lease::LeaseCommand;
use crate::cli::list::ListCommand;
use crate::cli::lock::LockCommand;
use crate::cli::manual::ManCommand;
use crate::cli::node_flags::NodeFlags;
use crate::cli::output::{self, OutputFlags};
use crate::cli::recover::RecoverCommand;
use crate::cli::restore::RestoreCommand;
use crate::cli::serve::ServeCommand;
use crate::cli::status::StatusCommand;
use crate::cli::tls_flags::TlsFlags;
use crate::cli::token::TokenCommand;
use crate::cli::txn::TxnCommand;
use crate::cli::watch::WatchCommand;
use crate::config::parse_duration;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use quorate_client::{Address, Client, Endpoint};
use std::path::PathBuf;
use std::time::Duration;

/// A replicated key-value store that never loses an acknowledged write.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, arg_required_else_help = true, after_help = ENVIRONMENT_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const ENVIRONMENT_HELP: &str = "\
Every flag can also be set in the environment: QUORATE_ and its name in upper snake case, as in QUORATE_ENDPOINTS.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 precondition failed, 5 unavailable, 6 outcome unknown,
78 bad configuration";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a local cluster, each node a child process
    Dev(DevFlags),
    /// Run one node
    Serve(ServeCommand),
    /// Found a cluster of one node in an empty data dir, without running it
    Bootstrap(NodeFlags),
    /// Print the value of a key
    Get(GetCommand),
    /// Write a key
    Put(PutCommand),
    /// Delete a key; one that is not there is no error
    Delete(DeleteCommand),
    /// List keys in order, with their values
    List(ListCommand),
    /// Show changes of keys as they happen
    Watch(WatchCommand),
    /// Do several things at once, if several others hold
    Txn(TxnCommand),
    /// Begin, keep alive, show or end a lease: keys that go together when nobody keeps them alive
    Lease(LeaseCommand),
    /// Run a command while holding a lock
    Lock(LockCommand),
    /// Take part in the election of a leader
    Elect(ElectCommand),
    /// Show how each endpoint sees itself and the cluster
    Status(StatusCommand),
    /// Show who belongs to the cluster, or say who shall
    Members(MembersCommand),
    /// Add a member
    Add(AddCommand),
    /// Take a member out
    Remove(MemberCommand),
    /// Make a learner a voter
    Promote(MemberCommand),
    /// Hand leadership over, to a voter or to the best
    Transfer(TransferCommand),
    /// Write the whole store in the format of data.json
    Export(ExportCommand),
    /// Write every entry of a data.json into the store
    Import(ImportCommand),
    /// Write a consistent copy of the store to a file, from any node; goes on with one that was interrupted
    Backup(BackupCommand),
    /// Make a new data dir from a backup, offline
    Restore(RestoreCommand),
    /// Put load on a cluster and measure it
    Bench(BenchFlags),
    /// Look into a running node
    Debug(DebugCommand),
    /// Show the version of this program and of its formats
    Version(OutputFlags),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages of all commands, for a package
    Man(ManCommand),
    /// Make a token for HTTP clients
    Token(TokenCommand),
    /// Make certificates for development
    Certs(CertsCommand),
    /// Check or print the configuration that `serve` would use
    Config(ConfigCommand),
    /// Say whether this machine is fit for a node with these settings: disk, clock, ports, open files
    Doctor(DoctorCommand),
    /// Show what a data dir holds; changes nothing
    Inspect(DirectoryCommand),
    /// Check every checksum in a data dir that is not in use, or in a backup, and name each place that is wrong;
    /// changes nothing
    Verify(VerifyCommand),
    /// Bring service back when a majority of the voters is lost for good
    Recover(RecoverCommand),
}

/// How a client reaches the cluster.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientFlags {
    /// Nodes to ask, in this order
    #[arg(long, value_name = "URL,URL", value_delimiter = ',', default_value = "http://127.0.0.1:8080")]
    pub(crate) endpoints: Vec<Endpoint>,
    /// How long a request may take
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
}

impl ClientFlags {
    /// A client of these endpoints.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.tls.client(self.endpoints.clone(), self.timeout)
    }
}

#[derive(Debug, Args)]
pub(crate) struct DirectoryCommand {
    /// The data dir
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyCommand {
    /// The data dir, or the file of a backup
    #[arg(value_name = "DIR|FILE")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct MembersCommand {
    #[command(subcommand)]
    pub(crate) action: Option<MembersAction>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersAction {
    /// Make these members the voters and those the learners, in one change; whoever is not named leaves
    Set(SetMembersCommand),
}

#[derive(Debug, Args)]
pub(crate) struct SetMembersCommand {
    /// Who votes: ids, or names that only one member has
    #[arg(long, value_name = "ID,ID", value_delimiter = ',', required = true)]
    pub(crate) voters: Vec<String>,
    /// Who follows and does not vote
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    pub(crate) learners: Vec<String>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

#[derive(Debug, Args)]
pub(crate) struct MemberCommand {
    /// The member: its id, or its name when no other member has it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

#[derive(Debug, Args)]
pub(crate) struct TransferCommand {
    /// Who shall lead: its id, or its name when no other member has it; without one, the leader chooses
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AddCommand {
    /// The new node's id: 32 hex digits, dashes and urn:uuid: allowed
    pub(crate) id: String,
    /// Where its peers can dial it
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: Address,
    /// Keep it a learner: it follows, but never votes
    #[arg(long)]
    pub(crate) learner: bool,
    /// Wait until it votes
    #[arg(long, conflicts_with = "learner")]
    pub(crate) wait: bool,
    /// The file of the join token that lets it in, as `quorate token join` printed it
    #[arg(long, value_name = "FILE")]
    pub(crate) join_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

/// A duration that is not zero.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it has to be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn print_completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quorate", &mut script);
    output::data(&script)
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
