//! Questions on the terminal.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

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
