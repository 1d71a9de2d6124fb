//! The page that shows one run: `cargo sim --seed N --trace FILE.html`, or `--replay FILE`.
//!
//! One file that needs nothing from outside: style, script and data are inside, and a content policy forbids the
//! browser to fetch anything. It draws lanes for servers and clients over virtual time; what is on them comes from the
//! same stream of observations that the checkers judge.
//!
//! | file | what it does |
//! |---|---|
//! | `data.rs` | the run as columns and rows of numbers, with every text only once |
//! | `messages.rs` | pairs what was sent with what arrived |
//! | `servers.rs`, `clients.rs` | pair starts with ends, questions with answers |
//! | `page.html`, `page.css` | the frame |
//! | `js/scene.js` … `js/page.js` | the script, in the order of [`SCRIPT`]: one module, so that nothing leaks |

mod clients;
mod data;
mod messages;
mod servers;

use std::collections::BTreeMap;

use quorate_node::raft::{NodeId, Time};

use crate::observe::Observation;
use crate::plan::{Host, Plan};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: [&str; 8] = [
    include_str!("js/scene.js"),
    include_str!("js/words.js"),
    include_str!("js/view.js"),
    include_str!("js/draw.js"),
    include_str!("js/marks.js"),
    include_str!("js/messages.js"),
    include_str!("js/panels.js"),
    include_str!("js/page.js"),
];

/// One run, as it is to be shown.
pub(crate) struct Scene<'a> {
    /// What was run.
    pub subject: Subject<'a>,
    /// What was observed, in order of time.
    pub trace: &'a [(Time, Observation)],
    /// What came of it, in one line: `passed`, or which property broke and how.
    pub verdict: String,
    /// When the property broke, where a checker can tell.
    pub violated_at: Option<Time>,
    /// The hash of the trace.
    pub trace_hash: u64,
    /// The command that shows the run again.
    pub again: String,
    /// Which stack ran: `full`, `core`, or one node alone.
    pub stack: &'static str,
}

/// What was run.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A plan.
    Plan(&'a Plan),
    /// A recording of one node.
    Recording {
        /// Its name.
        node: NodeId,
        /// Everybody's number; the node has the first.
        hosts: &'a BTreeMap<NodeId, Host>,
    },
}

/// The whole page.
pub(crate) fn page(scene: &Scene) -> String {
    let data =
        serde_json::to_string(&data::Data::of(scene)).expect("numbers, texts and lists have a JSON form");
    // Without a `<` no text of a run can end the element it is in, or begin a comment.
    let data = data.replace('<', "\\u003c");
    let script = SCRIPT.concat();
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + script.len() + data.len());
    let mut rest = TEMPLATE;
    for (place, content) in [("{style}", STYLE), ("{data}", &data), ("{script}", &script)] {
        // Only the template is searched, so a text of the run that looks like a place stays what it is.
        let (before, after) =
            rest.split_once(place).expect("the template names each place once, in this order");
        page.push_str(before);
        page.push_str(content);
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests;
