//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

pub(crate) const HELP: &str = "\
Measures Quorate beside its peers on this machine.

Usage: tests/peers/run [PART...] [OPTIONS]

Parts, all of them if none is named:
  compare   three nodes each of Quorate and etcd, under the same load in turn; bare hyper and the disk beside them
  engines   the Raft cores alone, in one process: Quorate's, raft-rs, openraft
  growth    one node with more and more keys
  page      nothing is measured: the page is made again of what was

Options:
  --quick         rounds, times and numbers of keys that make two minutes of it, for a look
  --rounds N      rounds of `compare` [3]
  --seconds N     how long a load lasts each time [5]
  --keys N,N      the numbers of keys of `growth` [10000,100000,1000000]
  --large         growth to 10,000,000 keys of Quorate, after that
  --write         write the page and the plots into docs/, too, and not only beside the build
  --help          this

The page and the plots are left in target/peers/page, what was measured in target/peers/results.
";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Compare,
    Engines,
    Growth,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// As it was typed.
    pub(crate) command: String,
    pub(crate) parts: Vec<Part>,
    /// The program under test.
    pub(crate) quorate: PathBuf,
    /// Where data, results and the page go.
    pub(crate) folder: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) warm_seconds: u64,
    pub(crate) connections: Vec<usize>,
    pub(crate) keys: Vec<usize>,
    pub(crate) large: bool,
    pub(crate) write: bool,
}

impl Options {
    /// Of these arguments, of which the script gives the first two: the program under test, and the folder. Nothing
    /// when help is asked for.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let given = "tests/peers/run gives a program and a folder";
        let (quorate, folder) = (arguments.next().context(given)?, arguments.next().context(given)?);
        let typed: Vec<String> = arguments.collect();
        let mut options = Self {
            command: [&["tests/peers/run".to_owned()], &typed[..]].concat().join(" "),
            parts: Vec::new(),
            quorate: quorate.into(),
            folder: folder.into(),
            rounds: 3,
            seconds: 5,
            warm_seconds: 2,
            connections: vec![1, 4, 16, 64, 256],
            keys: vec![10_000, 100_000, 1_000_000],
            large: false,
            write: false,
        };
        let mut only_page = false;
        let mut typed = typed.iter();
        while let Some(argument) = typed.next() {
            let mut value = || typed.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--help" => return Ok(None),
                "compare" => options.parts.push(Part::Compare),
                "engines" => options.parts.push(Part::Engines),
                "growth" => options.parts.push(Part::Growth),
                "page" => only_page = true,
                "--quick" => options.be_quick(),
                "--large" => options.large = true,
                "--write" => options.write = true,
                "--rounds" => options.rounds = number(value()?)?,
                "--seconds" => options.seconds = number(value()?)?,
                "--keys" => options.keys = value()?.split(',').map(number).collect::<Result<_>>()?,
                _ => bail!("{argument} is not known; see --help"),
            }
        }
        if options.parts.is_empty() && !only_page {
            options.parts = vec![Part::Compare, Part::Engines, Part::Growth];
        }
        Ok(Some(options))
    }

    fn be_quick(&mut self) {
        (self.rounds, self.seconds, self.warm_seconds) = (1, 1, 1);
        self.connections = vec![1, 64, 256];
        self.keys = vec![10_000, 50_000];
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().ok().with_context(|| format!("{text:?} is not a number"))
}
