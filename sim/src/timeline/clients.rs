//! Operations: what clients asked is paired with what they made of the answer.

use std::collections::HashMap;

use serde::Serialize;

use super::data::Strings;
use crate::history::{Call, Outcome};
use crate::observe::Observation;
use crate::plan::Host;

/// Longer values are cut: the page shows what happened, not what was stored.
const SHOWN_CHARS: usize = 160;

/// Client, number, when it asked, when it knew (`None`: never), server, key, call, value or "", outcome, result or "",
/// and a hash of the command. Texts are numbers of strings.
#[derive(Serialize)]
pub(super) struct Operation(
    u8,
    u32,
    u64,
    Option<u64>,
    Host,
    usize,
    &'static str,
    usize,
    &'static str,
    usize,
    Option<String>,
);

impl Operation {
    pub(super) fn client(&self) -> u8 {
        self.0
    }
}

/// The operations so far.
#[derive(Default)]
pub(super) struct Operations {
    rows: Vec<Operation>,
    open: HashMap<(u8, u32), usize>,
}

impl Operations {
    /// Takes an observation of a client. Those that are not of one are no concern of it.
    pub(super) fn see(&mut self, at: u64, observation: &Observation, strings: &mut Strings) {
        match observation {
            Observation::Asks { client, number, to, key, call, stale, content } => {
                let (word, value) = match call {
                    Call::Put(value) => ("put", shown(value)),
                    Call::Swap { from: Some(from), to } => {
                        ("swap", format!("{} for {}", shown(to), shown(from)))
                    }
                    Call::Swap { from: None, to } => ("swap", format!("{} for nothing", shown(to))),
                    Call::Delete => ("delete", String::new()),
                    Call::Get if *stale => ("stale get", String::new()),
                    Call::Get => ("get", String::new()),
                };
                let (key, value, nothing) = (strings.number(key), strings.number(&value), strings.number(""));
                let content = content.map(|hash| format!("{hash:016x}"));
                let open = "unanswered";
                let row =
                    Operation(*client, *number, at, None, *to, key, word, value, open, nothing, content);
                self.asked(row);
            }
            Observation::Hears { client, number, outcome, revision } => {
                let Some(row) = self.open.remove(&(*client, *number)) else { return };
                let (word, result) = described(outcome, *revision);
                let row = &mut self.rows[row];
                (row.3, row.8, row.9) = (Some(at), word, strings.number(&result));
            }
            _ => {}
        }
    }

    fn asked(&mut self, operation: Operation) {
        // The same operation once more, before anything was made of the first try: the client goes elsewhere.
        if let Some(row) = self.open.insert((operation.0, operation.1), self.rows.len()) {
            let tried = &mut self.rows[row];
            (tried.3, tried.8) = (Some(operation.2), "retried");
        }
        self.rows.push(operation);
    }

    pub(super) fn into_rows(self) -> Vec<Operation> {
        self.rows
    }
}

/// An outcome in a word, and what else was learned.
fn described(outcome: &Outcome, revision: Option<u64>) -> (&'static str, String) {
    let revision = revision.map(|revision| format!("revision {revision}"));
    match outcome {
        Outcome::Written { .. } => ("ok", revision.unwrap_or_default()),
        Outcome::Read { value, .. } => {
            let value = value.as_ref().map_or_else(|| "not there".to_owned(), |value| shown(value));
            ("ok", [Some(value), revision].into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
        Outcome::Failed => ("failed", String::new()),
        Outcome::Refused { .. } => ("refused", String::new()),
        Outcome::Unknown => ("unknown", String::new()),
    }
}

fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &value[..end], value.len()),
        None => value.to_owned(),
    }
}
