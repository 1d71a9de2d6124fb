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
    /// Of these arguments; nothing when help is asked for.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut arguments = arguments.collect::<Vec<_>>().into_iter();
        let mut options = Self {
            command: String::new(),
            parts: Vec::new(),
            quorate: PathBuf::new(),
            folder: PathBuf::new(),
            rounds: 3,
            seconds: 5,
            warm_seconds: 2,
            connections: vec![1, 4, 16, 64, 256],
            keys: vec![10_000, 100_000, 1_000_000],
            large: false,
            write: false,
        };
        let mut typed = vec!["tests/peers/run".to_owned()];
        let mut only_page = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--help" => return Ok(None),
                // These two are given by the script.
                "--quorate" => options.quorate = value()?.into(),
                "--folder" => options.folder = value()?.into(),
                _ => {
                    typed.push(argument.clone());
                    match argument.as_str() {
                        "compare" => options.parts.push(Part::Compare),
                        "engines" => options.parts.push(Part::Engines),
                        "growth" => options.parts.push(Part::Growth),
                        "page" => only_page = true,
                        "--quick" => options.be_quick(),
                        "--large" => options.large = true,
                        "--write" => options.write = true,
                        "--rounds" => options.rounds = number(&value()?, &mut typed)?,
                        "--seconds" => options.seconds = number(&value()?, &mut typed)?,
                        "--keys" => {
                            let list = value()?;
                            let numbers = list.split(',').map(str::parse).collect::<Result<_, _>>();
                            options.keys =
                                numbers.with_context(|| format!("{list:?} is no list of numbers"))?;
                            typed.push(list);
                        }
                        _ => bail!("{argument} is not known; see --help"),
                    }
                }
            }
        }
        if options.parts.is_empty() && !only_page {
            options.parts = vec![Part::Compare, Part::Engines, Part::Growth];
        }
        options.command = typed.join(" ");
        Ok(Some(options))
    }

    fn be_quick(&mut self) {
        (self.rounds, self.seconds, self.warm_seconds) = (1, 1, 1);
        self.connections = vec![1, 64, 256];
        self.keys = vec![10_000, 50_000];
    }
}

fn number<T: std::str::FromStr>(text: &str, typed: &mut Vec<String>) -> Result<T> {
    typed.push(text.to_owned());
    text.parse().ok().with_context(|| format!("{text:?} is not a number"))
}
