//! Data to stdout, talk to stderr.

use crate::cli::exit::Failure;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::io::{self, Write};

/// The form of printed records: columns for people, or JSON for programs.
// Doc comments on the variants would make clap print the long form of every help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

/// `-o` of the commands that print records.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputFlags {
    /// The form of what is printed
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Says something to the person who runs the command.
pub(crate) fn say(line: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes data and flushes it. A reader that went away (`quorate export | head`) has had enough, which is no failure.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("stdout can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    data(format!("{text}\n").as_bytes())
}

/// Writes `value` as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    data(json_line(value)?.as_bytes())
}

/// `value` as one line of JSON, with the line's end.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(text + "\n")
}

/// Columns, aligned by spaces, without borders: easy to read, and easy for `awk`.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(header: [&str; COLUMNS]) -> Self {
        Self { rows: vec![header.map(str::to_owned)] }
    }

    /// Adds a row; an empty cell is shown as `-`, so that every row has the same number of words.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    }

    pub(crate) fn text(&self) -> String {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    pub(crate) fn print(&self) -> Result<(), Failure> {
        data(self.text().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["ID", "ROLE"]);
        table.row(["long-id".to_owned(), "voter".to_owned()]);
        table.row([String::new(), "ü".to_owned()]);
        assert_eq!(table.text(), "ID       ROLE\nlong-id  voter\n-        ü\n");
    }
}
