//! Quorate beside its peers, on one machine: `tests/peers/run --help`.
//!
//! | file | what it holds |
//! |---|---|
//! | `options.rs`, `conditions.rs` | the command line; the machine |
//! | `process.rs`, `clusters.rs`, `ask.rs` | servers that are started, killed and looked at |
//! | `keys.rs`; `wrk.rs` and `load.lua`, `grpc.rs` | the keys; the load |
//! | `compare.rs`, `ceilings.rs`, `bin/bare-hyper.rs` | clusters side by side, and what hyper and the disk allow |
//! | `engines/` | the cores alone |
//! | `growth.rs`, `loader.rs` | one node with more and more keys |
//! | `results.rs`, `goals.rs`, `page.rs`, `plots.rs` | what was measured, and how it is shown |

mod ask;
mod ceilings;
mod clusters;
mod compare;
mod conditions;
mod engines;
mod goals;
mod growth;
mod grpc;
mod keys;
mod loader;
mod options;
mod page;
mod plots;
mod process;
mod results;
mod wrk;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use options::{Options, Part};
use results::{All, keep};

fn main() -> Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    let results = options.folder.join("results");
    fs::create_dir_all(&results)?;
    for part in &options.parts {
        match part {
            Part::Compare => keep(&results, "compare", &compare::run(&options)?)?,
            Part::Engines => keep(&results, "engines", &engines::run(&options)?)?,
            Part::Growth => keep(&results, "growth", &growth::run(&options)?)?,
        }
    }
    let all = All::read(&results)?;
    let page = options.folder.join("page");
    write_page(&all, &page)?;
    println!("{}", fs::read_to_string(page.join("BENCHMARKS.md"))?);
    eprintln!("{} and plots beside it", page.join("BENCHMARKS.md").display());
    if options.write {
        write_page(&all, Path::new("docs"))?;
    }
    Ok(())
}

/// Writes `BENCHMARKS.md` and `benchmarks/*.svg` in this folder.
fn write_page(all: &All, folder: &Path) -> Result<()> {
    let plots = folder.join("benchmarks");
    fs::create_dir_all(&plots)?;
    plots::draw(all, &plots).context("the plots can't be drawn")?;
    fs::write(folder.join("BENCHMARKS.md"), page::text(all))?;
    Ok(())
}
