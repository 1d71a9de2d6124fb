//! `quorate recover plan` and `quorate recover apply`.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use quorate_client::{Endpoint, Status};
use quorate_node::raft::NodeId;
use quorate_node::wire::ClusterId;
use quorate_storage::Look;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, OutputFlags};
use crate::cli::recover_report::{Live, Report};
use crate::cli::tls_flags::TlsFlags;
use crate::context::Identity;
use crate::real::{RealRuntime, block_on};
use crate::recover::{Applied, ApplyError, Order, Survivor, apply};

/// How long a node that may be gone is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct RecoverCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what each survivor holds, which is the most ahead, and what would be lost; changes nothing
    Plan {
        /// Data dirs that are left, and URLs of nodes that still answer
        #[arg(required = true, value_name = "DIR|URL", value_parser = parse_source)]
        sources: Vec<Source>,
        #[command(flatten)]
        tls: TlsFlags,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Make the node of a data dir the only voter, under a new history
    Apply {
        /// The data dir of the survivor that is the most ahead
        dir: PathBuf,
        /// The id of the cluster, as `recover plan` shows it
        #[arg(long, value_name = "CLUSTER-ID")]
        confirm: ClusterId,
        /// The other survivors: refuses when one of them is ahead, or live
        #[arg(long = "survivor", value_name = "DIR|URL", value_parser = parse_source, num_args = 1..)]
        survivors: Vec<Source>,
        /// Where the data dir is copied to first; beside it when left out
        #[arg(long, value_name = "DIR")]
        aside: Option<PathBuf>,
        #[command(flatten)]
        tls: TlsFlags,
    },
}

/// Where a survivor is.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Its data dir.
    Dir(PathBuf),
    /// It answers.
    Url(Endpoint),
}

fn parse_source(text: &str) -> Result<Source, String> {
    if !text.contains("://") {
        return Ok(Source::Dir(PathBuf::from(text)));
    }
    text.parse().map(Source::Url).map_err(|error: quorate_client::EndpointError| error.to_string())
}

pub(crate) fn run(command: RecoverCommand) -> Result<(), Failure> {
    match command.action {
        Action::Plan { sources, tls, output } => plan(&sources, &tls, &output),
        Action::Apply { dir, confirm, survivors, aside, tls } => {
            let dirs = named_dirs(&dir, survivors, &tls)?;
            refuse_unnamed(&dir, &dirs, &tls)?;
            apply_to(&Order { dir, confirm, survivors: dirs, aside })
        }
    }
}

/// Shows every survivor that can be looked at; one that can't is named, and makes the command fail.
fn plan(sources: &[Source], tls: &TlsFlags, output: &OutputFlags) -> Result<(), Failure> {
    let (mut survivors, mut live) = (Vec::new(), Vec::new());
    let mut failure = None;
    for source in sources {
        let failed = match source {
            Source::Dir(dir) => match Survivor::at(dir) {
                Ok(mut survivor) => {
                    survivor.release();
                    let unread = survivor.unread().map(|error| format!("{}: {error}", dir.display()));
                    survivors.push(survivor);
                    let Some(problem) = unread else { continue };
                    Failure::failed(problem)
                }
                Err(error) => Failure::failed(error.to_string()),
            },
            Source::Url(url) => match ask(url, tls) {
                Ok(status) => {
                    live.push(Live::new(url, status)?);
                    continue;
                }
                Err(error) => error,
            },
        };
        // Each is said where it happens; the last one also becomes the exit code.
        if let Some(Failure::Ended(_, message)) = failure.replace(failed) {
            output::say(&format!("quorate: {message}"));
        }
    }
    let report = Report::of(&survivors, &live)?;
    report.print(output.output)?;
    failure.map_or(Ok(()), Err)
}

/// The data dirs of the other survivors. One that answers is none: it may be one of a quorum.
fn named_dirs(
    dir: &std::path::Path,
    survivors: Vec<Source>,
    tls: &TlsFlags,
) -> Result<Vec<PathBuf>, Failure> {
    if dir.to_string_lossy().contains("://") {
        return Err(Failure::usage(format!(
            "{} is a URL: stop that node, and name its data dir",
            dir.display()
        )));
    }
    let dir_of = |survivor| match survivor {
        Source::Dir(dir) => Ok(dir),
        Source::Url(url) => Err(refuse_live(&url, tls)),
    };
    survivors.into_iter().map(dir_of).collect()
}

fn apply_to(order: &Order) -> Result<(), Failure> {
    match apply(order, &RealRuntime::start())? {
        Applied::Recovered { identity, before, entry, aside, was_term_lost, not_copied } => {
            let Identity { node, cluster, history } = identity;
            let copy = match aside {
                Some(aside) => format!("is at {}", aside.display()),
                None => "is where --aside of the interrupted attempt said".to_owned(),
            };
            output::say(&format!(
                "node {node} is the only voter of cluster {cluster} now, by entry {entry}\n\
                 history {before} ends here; history {history} begins\n\
                 the data dir as it was {copy}"
            ));
            if was_term_lost {
                output::say(
                    "warning: term and vote were lost, and with them how far the node had acknowledged: the end of its \
                     log may be missing, a change of members included, and nothing would show it",
                );
            }
            if !not_copied.is_empty() {
                output::say(&format!("the copy lacks what could not be read: {}", not_copied.join(", ")));
            }
            output::say(&format!("next: quorate serve --data-dir {}", order.dir.display()));
        }
        Applied::AlreadyAlone(Identity { node, cluster, history }) => output::say(&format!(
            "nothing to do: node {node} is the only voter of cluster {cluster} already, history {history}; start it"
        )),
    }
    Ok(())
}

fn refuse_live(url: &Endpoint, tls: &TlsFlags) -> Failure {
    let message = match ask(url, tls) {
        Ok(status) => format!(
            "the survivor {} at {url} is live: the cluster may still have a quorum; stop it, and name its data dir",
            status.id
        ),
        Err(_) => format!(
            "the survivor at {url} does not answer, so what it holds can't be told: name its data dir, or leave it \
             out if it is lost for good"
        ),
    };
    Failure::Ended(Exit::PreconditionFailed, message)
}

/// A node that nobody named and that still answers may hold more, or be one of a quorum that was only out of sight.
fn refuse_unnamed(dir: &Path, named: &[PathBuf], tls: &TlsFlags) -> Result<(), Failure> {
    // Flags that can't be used are no sign that nobody is there.
    tls.tls()?;
    // What is wrong with the data dir is found, and said, where it is taken.
    let Ok(mut target) = Survivor::at(dir) else { return Ok(()) };
    target.release();
    let Ok(holdings) = &target.holdings else { return Ok(()) };
    // A survivor that is named and runs is refused by its lock, which tells which process it is.
    let locked: Vec<NodeId> = named.iter().filter_map(|dir| locked_by(dir)).collect();
    let others = holdings.members.contacts.iter().filter(|(id, _)| **id != target.node());
    for (id, contact) in others {
        let Ok(url) = contact.url.parse::<Endpoint>() else { continue };
        let status = match ask(&url, tls) {
            Ok(status) => status,
            // It may speak TLS where its URL says http, or the other way around: a URL is as old as the data dir.
            Err(Failure::Ended(_, problem)) if !locked.contains(id) && takes_connections(&url) => {
                let message = format!(
                    "somebody answers where node {id} was, at {url}, and can't be asked: {problem}; stop that node, or \
                     give --cacert, and --cert with --key when the nodes want a certificate"
                );
                return Err(Failure::Ended(Exit::PreconditionFailed, message));
            }
            Err(_) => continue,
        };
        let is_ours = status.cluster == target.identity.cluster.to_string()
            && status.history == target.identity.history.to_string();
        if is_ours {
            return Err(Failure::Ended(
                Exit::PreconditionFailed,
                format!(
                    "node {id} answers at {url}: the cluster may still have a quorum, or that node may be ahead; stop \
                     it, and name its data dir with --survivor"
                ),
            ));
        }
    }
    Ok(())
}

/// The node of a data dir that a process has in use.
fn locked_by(dir: &Path) -> Option<NodeId> {
    let look = Look::at(dir).ok()?;
    look.in_use.is_some().then_some(look.identity.node)
}

/// Whether anybody is there at all.
fn takes_connections(url: &Endpoint) -> bool {
    let addresses = url.address().to_string().to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

fn ask(url: &Endpoint, tls: &TlsFlags) -> Result<Status, Failure> {
    let client = tls.client(vec![url.clone()], PATIENCE)?;
    Ok(block_on(client.status_of(url))??)
}

impl Live {
    fn new(url: &Endpoint, status: Status) -> Result<Live, Failure> {
        let id: Result<NodeId, _> = status.id.parse();
        let id = id.map_err(|error| Failure::failed(format!("{url} names no node: {error}")))?;
        Ok(Live { url: url.to_string(), id, status })
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let exit = match error.exit_code() {
            4 => Exit::PreconditionFailed,
            78 => Exit::BadConfiguration,
            _ => Exit::Failed,
        };
        Self::Ended(exit, error.to_string())
    }
}
