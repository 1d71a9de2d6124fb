//! The reference of the documentation that is made of the code: `docs/COMMANDS.md` of the definitions of the command
//! line, `docs/SETTINGS.md` of the table of settings.

mod commands;
mod settings;

/// Text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
