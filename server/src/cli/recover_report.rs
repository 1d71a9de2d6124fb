//! What `quorate recover plan` prints.

use std::collections::BTreeSet;
use std::path::Path;

use quorate_client::Status;
use quorate_node::raft::{Members, NodeId};
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, Table};
use crate::recover::{Loss, Plan, Survivor, beyond};

/// A node that answers.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) url: String,
    pub(crate) id: NodeId,
    pub(crate) status: Status,
}

/// All that is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cluster: String,
    history: String,
    survivors: Vec<Row>,
    /// The members in force by the most ahead.
    members: Vec<MemberRow>,
    /// What there is to know before anything is done, a sentence each.
    notes: Vec<String>,
    loss: &'static str,
    /// The data dir to go on with.
    apply_to: Option<String>,
    /// How.
    command: Option<String>,
}

/// A survivor.
#[derive(Debug, Serialize)]
struct Row {
    source: String,
    id: String,
    name: Option<String>,
    /// `voter`, `learner`, or `none` of the configuration that it holds.
    role: &'static str,
    term: Option<u64>,
    /// The end of its log.
    last_term: Option<u64>,
    last_index: Option<u64>,
    commit: Option<u64>,
    /// The last index that its newest checkpoint covers.
    checkpoint: Option<u64>,
    state: &'static str,
    /// What is wrong with it.
    damage: Option<String>,
    /// What others hold and this one does not.
    lacks: Vec<Lack>,
}

#[derive(Debug, Serialize)]
struct Lack {
    source: String,
    first_index: u64,
    last_index: u64,
}

#[derive(Debug, Serialize)]
struct MemberRow {
    id: String,
    name: Option<String>,
    address: String,
    url: String,
    role: &'static str,
    /// Whether it is among the survivors.
    found: bool,
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn role(members: &Members, id: NodeId) -> &'static str {
    match (members.is_voter(id), members.contains(id)) {
        (true, _) => "voter",
        (false, true) => "learner",
        (false, false) => "none",
    }
}

fn text_or_none(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Report {
    /// Judges what was found.
    pub(crate) fn of(survivors: &[Survivor], live: &[Live]) -> Result<Report, Failure> {
        let (cluster, history) = one_history(survivors, live)?;
        let ids: BTreeSet<NodeId> = live.iter().map(|live| live.id).collect();
        let plan = Plan::of(survivors, &ids);
        let rows = survivors.iter().map(|survivor| Row::of(survivor, survivors));
        let members = plan.best.and_then(|best| best.holdings.as_ref().ok());
        let found = |id| ids.contains(&id) || survivors.iter().any(|survivor| survivor.node() == id);
        let loss = if is_led(live) { Loss::QuorumIsThere } else { plan.loss };
        let command = command(&plan, survivors, &cluster).filter(|_| live.is_empty());
        Ok(Report {
            survivors: rows.chain(live.iter().map(Row::of_live)).collect(),
            members: members.map(|held| member_rows(&held.members, found)).unwrap_or_default(),
            notes: notes(&plan, survivors, live),
            loss: match loss {
                Loss::QuorumIsThere => "quorum-is-there",
                Loss::Nothing => "nothing",
                Loss::Unknown => "unknown",
            },
            apply_to: command.as_ref().and(plan.best).map(|best| shown(&best.dir)),
            command,
            cluster,
            history,
        })
    }

    pub(crate) fn print(&self, output: Output) -> Result<(), Failure> {
        if output == Output::Json {
            return output::json(self);
        }
        let mut text = format!("cluster  {}\nhistory  {}\n\n", self.cluster, self.history);
        text.push_str(&self.survivor_table().text());
        if !self.members.is_empty() {
            text.push_str("\nmembers, by the data dir that is the most ahead:\n");
            text.push_str(&self.member_table().text());
        }
        text.push('\n');
        for note in &self.notes {
            text.push_str(&format!("- {note}\n"));
        }
        if let Some(command) = &self.command {
            text.push_str(&format!("\nto go on with it:\n  {command}\n"));
        }
        output::data(text.as_bytes())
    }

    fn survivor_table(&self) -> Table<9> {
        let mut table =
            Table::new(["SURVIVOR", "ID", "NAME", "ROLE", "TERM", "LAST", "COMMIT", "CHECKPOINT", "STATE"]);
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        for row in &self.survivors {
            let last = match (row.last_term, row.last_index) {
                (Some(term), Some(index)) => format!("{term}/{index}"),
                (_, index) => number(index),
            };
            table.row([
                row.source.clone(),
                row.id.clone(),
                row.name.clone().unwrap_or_default(),
                row.role.to_owned(),
                number(row.term),
                last,
                number(row.commit),
                number(row.checkpoint),
                row.state.to_owned(),
            ]);
        }
        table
    }

    fn member_table(&self) -> Table<6> {
        let mut table = Table::new(["ID", "NAME", "ADDRESS", "URL", "ROLE", "FOUND"]);
        for row in &self.members {
            table.row([
                row.id.clone(),
                row.name.clone().unwrap_or_default(),
                row.address.clone(),
                row.url.clone(),
                row.role.to_owned(),
                if row.found { "yes" } else { "no" }.to_owned(),
            ]);
        }
        table
    }
}

impl Row {
    fn of(survivor: &Survivor, survivors: &[Survivor]) -> Row {
        let held = survivor.holdings.as_ref().ok();
        let damage = survivor.flaw();
        let lacks = beyond(survivor, survivors).into_iter().map(|beyond| Lack {
            source: shown(beyond.dir),
            first_index: beyond.first.0,
            last_index: beyond.last.index.0,
        });
        Row {
            source: shown(&survivor.dir),
            id: survivor.node().to_string(),
            name: survivor.name().map(str::to_owned),
            role: held.map_or("unknown", |held| role(&held.members, survivor.node())),
            term: held.filter(|held| !held.is_term_lost).map(|held| held.term.0),
            last_term: held.map(|held| held.last().term.0),
            last_index: held.map(|held| held.last().index.0),
            commit: held.map(|held| held.commit.0),
            checkpoint: held.and_then(|held| held.checkpoint).map(|last| last.index.0),
            state: match (&damage, survivor.in_use, survivor.recovering) {
                (_, Some(_), _) => "in-use",
                _ if survivor.unread().is_some() => "unreadable",
                (Some(_), ..) => "damaged",
                (None, None, Some(_)) => "recovering",
                (None, None, None) if survivor.is_term_lost() => "term-and-vote-lost",
                (None, None, None) => "sound",
            },
            damage,
            lacks: lacks.collect(),
        }
    }

    /// Of a node that answers only what it says of itself is known: not the term of its last entry.
    fn of_live(live: &Live) -> Row {
        let status = &live.status;
        Row {
            source: live.url.clone(),
            id: live.id.to_string(),
            name: status.name.clone(),
            role: if status.role == "learner" { "learner" } else { "voter" },
            term: Some(status.term),
            last_term: None,
            last_index: Some(status.last),
            commit: Some(status.commit),
            checkpoint: Some(status.snapshot).filter(|index| *index > 0),
            state: "live",
            damage: None,
            lacks: Vec::new(),
        }
    }
}

fn member_rows(members: &Members, found: impl Fn(NodeId) -> bool) -> Vec<MemberRow> {
    let row = |id: &NodeId| {
        let contact = members.contacts.get(id).cloned().unwrap_or_default();
        MemberRow {
            id: id.to_string(),
            name: text_or_none(&contact.name),
            address: contact.address,
            url: contact.url,
            role: role(members, *id),
            found: found(*id),
        }
    };
    members.contacts.keys().map(row).collect()
}

/// The cluster and history that all of them belong to.
fn one_history(survivors: &[Survivor], live: &[Live]) -> Result<(String, String), Failure> {
    let of_dir = |survivor: &Survivor| {
        let (cluster, history) = survivor.belongs_to();
        (shown(&survivor.dir), cluster.to_string(), history.to_string())
    };
    let of_live = |live: &Live| (live.url.clone(), live.status.cluster.clone(), live.status.history.clone());
    let all: Vec<_> = survivors.iter().map(of_dir).chain(live.iter().map(of_live)).collect();
    let Some((first, cluster, history)) = all.first().cloned() else {
        return Err(Failure::failed("none of the survivors can be looked at"));
    };
    if let Some((other, theirs, their_history)) = all.iter().find(|(_, c, h)| *c != cluster || *h != history)
    {
        let message = format!(
            "{first} is of cluster {cluster}, history {history}, and {other} is of cluster {theirs}, history \
             {their_history}: they hold nothing of each other; look at each cluster and history for itself"
        );
        return Err(Failure::Ended(Exit::PreconditionFailed, message));
    }
    Ok((cluster, history))
}

/// The command that goes on with the best one; nothing when that would be wrong, or not needed.
fn command(plan: &Plan<'_>, survivors: &[Survivor], cluster: &str) -> Option<String> {
    let is_told = survivors.iter().all(|survivor| survivor.unread().is_none());
    let best = plan.best.filter(|_| plan.loss != Loss::QuorumIsThere && is_told)?;
    let ahead = plan.ahead.map(|survivor| &survivor.dir);
    let others = survivors.iter().filter(|survivor| survivor.dir != best.dir && Some(&survivor.dir) != ahead);
    // A copy of the same node's data dir says nothing more.
    let others = others.filter(|survivor| survivor.can_be_named() && survivor.node() != best.node());
    let others: String = others.map(|survivor| format!(" --survivor {}", quoted(&survivor.dir))).collect();
    Some(format!("quorate recover apply {} --confirm {cluster}{others}", quoted(&best.dir)))
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = shown(path);
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+:@%,=".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether a node knows a leader: that one has heard of a majority within the last election timeout.
fn is_led(live: &[Live]) -> bool {
    live.iter().any(|live| live.status.leader.is_some())
}

fn notes(plan: &Plan<'_>, survivors: &[Survivor], live: &[Live]) -> Vec<String> {
    let mut notes = Vec::new();
    for survivor in survivors {
        let dir = shown(&survivor.dir);
        if let Some(user) = survivor.in_use {
            let who = user.pid.map_or("a process".to_owned(), |pid| format!("process {pid}"));
            notes.push(format!(
                "{dir} is in use by {who}: what is shown may be of the past; stop it, and plan again"
            ));
        }
        if let Some(history) = survivor.recovering {
            notes.push(format!(
                "{dir}: a recovery to history {history} was begun; run its apply again to finish it"
            ));
        }
        if let Some(error) = survivor.unread() {
            notes.push(format!(
                "{dir}: {error}; which survivor is the most ahead can't be told before: plan again when it can be read, \
                 or without it if it is lost for good"
            ));
        } else if let Some(flaw) = survivor.flaw() {
            notes.push(format!("{dir} can't be recovered from: {flaw}"));
        } else if survivor.is_term_lost() {
            notes.push(format!(
                "{dir}: its term and vote are lost, and with them how far it had acknowledged: the end of its log may \
                 be missing, a change of members included, and nothing would show it; so it may be behind, and counts as missing"
            ));
        }
        for lack in beyond(survivor, survivors) {
            let (first, last) = (lack.first, lack.last.index);
            notes.push(format!("{dir} lacks {first} to {last}, which {} holds", shown(lack.dir)));
        }
    }
    for live in live {
        let leader = live.status.leader.as_ref().map(|leader| format!("it follows the leader {}", leader.id));
        let says = leader.unwrap_or_else(|| "it knows no leader".to_owned());
        notes.push(format!("{} is live, and {says}", live.url));
    }
    if is_led(live) {
        notes.push(
            "a leader is heard, so a majority of the voters is there; there is nothing to recover".into(),
        );
    } else if live.is_empty() || plan.loss == Loss::QuorumIsThere {
        notes.extend(verdict(plan));
    } else {
        notes.push("stop what is live and plan again with its data dir: which is the most ahead can't be told before".into());
    }
    notes
}

fn verdict(plan: &Plan<'_>) -> Vec<String> {
    let Some(best) = plan.best else {
        return vec!["no survivor can be recovered from: restore a backup into an empty data dir".to_owned()];
    };
    let Ok(held) = &best.holdings else { return Vec::new() };
    let (dir, last, commit) = (shown(&best.dir), held.last(), held.commit);
    let by = match (best.is_term_lost(), plan.missing.is_empty()) {
        (true, true) => "it",
        (true, false) => "it or the missing voters",
        (false, _) => "the missing voters",
    };
    let mut verdict = Vec::new();
    if !plan.missing.is_empty() {
        let missing: Vec<String> = plan.missing.iter().map(NodeId::to_string).collect();
        verdict.push(format!("voters that were not found: {}", missing.join(", ")));
    }
    if let Some(ahead) = plan.ahead {
        verdict.push(format!(
            "{} is ahead of {dir} and can't be recovered from: what it alone holds would be lost",
            shown(&ahead.dir)
        ));
    }
    match plan.loss {
        Loss::QuorumIsThere => verdict.push(
            "these are a majority of the voters: start them, and nothing is lost; there is nothing to recover".to_owned(),
        ),
        Loss::Nothing => verdict.push(format!(
            "{dir} is the most ahead, and the missing voters are no majority: nothing that was acknowledged is lost"
        )),
        Loss::Unknown => verdict.push(format!(
            "{dir} is the most ahead: it holds everything that was committed up to index {commit}, at least, and its \
             log ends at {last} (term/index); what {by} acknowledged beyond its log is lost, and how much that is \
             can't be known"
        )),
    }
    verdict
}
