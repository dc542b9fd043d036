//! The terminal: its width, and questions on it.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use rustix::{
    fd::AsFd,
    termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};

/// Columns of the terminal behind a descriptor, at most 100; `None` where there is none: nothing is folded for programs.
pub(super) fn width(output: impl AsFd) -> Option<usize> {
    if !isatty(&output) {
        return None;
    }
    let columns = tcgetwinsize(output).map_or(0, |size| usize::from(size.ws_col));
    Some(if columns == 0 { 80 } else { columns.clamp(40, 100) })
}

/// Each line of a text folded at blanks to a width; what goes on is indented below where its line began.
pub(super) fn folded(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    text.lines().map(|line| fold(line, width)).collect::<Vec<_>>().join("\n")
}

/// A line for a person: on stderr, folded where that is a terminal.
pub(super) fn tell(line: &str) -> std::io::Result<()> {
    let err = std::io::stderr();
    let text = folded(line, width(&err));
    writeln!(err.lock(), "{text}")
}

fn fold(line: &str, width: usize) -> String {
    let indent = line.chars().take_while(|c| *c == ' ').count() + 2;
    let mut folded = String::new();
    let mut column = 0;
    // With the blanks before each word, which stay where nothing is folded.
    let starts = line.match_indices(' ').map(|(at, _)| at);
    let starts: Vec<usize> = std::iter::once(0).chain(starts).chain([line.len()]).collect();
    for pair in starts.windows(2) {
        let [from, to] = pair else { continue };
        let word = line.get(*from..*to).unwrap_or_default();
        let length = word.chars().count();
        if column > indent && column + length > width && !word.trim().is_empty() {
            folded.push('\n');
            folded.push_str(&" ".repeat(indent));
            folded.push_str(word.trim_start());
            column = indent + word.trim_start().chars().count();
        } else {
            folded.push_str(word);
            column += length;
        }
    }
    folded
}

/// Asks for a password on the terminal, which does not show it. `None` when there is no terminal.
pub(super) fn ask_hidden(prompt: &str) -> anyhow::Result<Option<String>> {
    let Ok(mut terminal) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    let before = tcgetattr(&terminal).context("cannot ask on the terminal")?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).context("cannot hide what is typed")?;
    let read = write!(terminal, "{prompt}").and_then(|()| {
        let mut line = String::new();
        let count = std::io::BufReader::new(&terminal).read_line(&mut line)?;
        Ok((count > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    });
    // Shown again whatever happened.
    tcsetattr(&terminal, OptionalActions::Flush, &before).context("cannot show again what is typed")?;
    writeln!(terminal)?;
    Ok(read?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_folded_at_blanks_and_a_long_word_stays_whole() {
        assert_eq!(folded("hint: aaa bbb ccc", Some(12)), "hint: aaa\n  bbb ccc");
        assert_eq!(
            folded("  caused by: /a/very/long/path it", Some(14)),
            "  caused by:\n    /a/very/long/path\n    it"
        );
        assert_eq!(folded("a  b", Some(80)), "a  b");
        assert_eq!(folded("hint: aaa bbb ccc", None), "hint: aaa bbb ccc");
    }
}
