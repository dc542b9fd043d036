//! `nbpack man`: manual pages and the command reference, from the definitions that parse the command line.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::{Cli, Context};
use crate::files;

/// What stands in a page's foot.
const SOURCE: &str = concat!("nbpack ", env!("CARGO_PKG_VERSION"));

/// Write the manual pages, or print the command reference
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack man --to ~/.local/share/man/man1
  nbpack man --markdown > docs/reference.md")]
pub(super) struct Args {
    /// Write `nbpack.1` and a page for each command into this directory
    #[arg(long, value_name = "DIR", required_unless_present = "markdown")]
    to: Option<PathBuf>,
    /// Print the command reference as Markdown
    #[arg(long, conflicts_with = "to")]
    markdown: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut program = Cli::command();
    program.build();
    match args.to {
        Some(dir) => pages(&program, &context.cwd.join(dir))?,
        None => std::io::stdout().lock().write_all(reference(&program)?.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that a person may give, in the order of `--help`.
fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn pages(program: &Command, dir: &Path) -> anyhow::Result<()> {
    files::create_dir(dir)?;
    page(program, &dir.join("nbpack.1"))?;
    for command in commands(program) {
        page(command, &dir.join(format!("nbpack-{}.1", command.get_name())))?;
    }
    Ok(())
}

fn page(command: &Command, path: &Path) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let title = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    // `help` is a command of clap's own, and has no page.
    let command = command.clone().disable_help_subcommand(true);
    let page = clap_mangen::Man::new(command).title(title).manual("nbpack").source(SOURCE);
    page.render(&mut bytes).context("cannot make the manual page")?;
    let text = String::from_utf8(bytes).context("the manual page is not UTF-8")?;
    Ok(files::publish_bytes(path, 0o644, mended(&text).as_bytes())?)
}

/// The page with what its generator cannot say: an empty date, the names of the last sections, and examples as they
/// stand, for `man` would fill lines that begin with blanks into a paragraph with their neighbours.
fn mended(page: &str) -> String {
    let page = page
        .replacen(" 1  \"", " 1 \"\" \"", 1)
        .replace("\n.SH EXTRA\nExamples:\n", "\n.SH EXAMPLES\n")
        .replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        let example = line.starts_with("  ");
        if example != inside {
            text.push_str(if example { ".nf\n" } else { ".fi\n" });
            inside = example;
        }
        text.push_str(line);
        text.push('\n');
    }
    if inside {
        text.push_str(".fi\n");
    }
    text
}

/// `docs/reference.md`.
fn reference(program: &Command) -> Result<String, std::fmt::Error> {
    let mut text = String::from("# Command reference\n\n");
    writeln!(text, "Written by `nbpack man --markdown` from the program's own definitions; a test compares.\n")?;
    writeln!(text, "| Command | What it does |\n|---|---|")?;
    for command in commands(program) {
        let name = command.get_name();
        writeln!(text, "| [`{name}`](#nbpack-{name}) | {} |", cell(&about(command)))?;
    }
    writeln!(text, "\nWith every command:\n")?;
    arguments(&mut text, program, true)?;
    writeln!(
        text,
        "\nExit code, where a command says nothing else: 0 yes, 1 it ran and the answer is no, 2 it could not be done or told."
    )?;
    for command in commands(program) {
        section(&mut text, command)?;
    }
    Ok(text)
}

fn section(text: &mut String, command: &Command) -> std::fmt::Result {
    writeln!(text, "\n## nbpack {}\n", command.get_name())?;
    let long = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    writeln!(text, "{}\n", long.unwrap_or_default().trim())?;
    let usage = command.clone().render_usage().to_string();
    writeln!(text, "```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim())?;
    arguments(text, command, false)?;
    let Some(after) = command.get_after_help().map(ToString::to_string) else { return Ok(()) };
    for paragraph in after.split("\n\n") {
        match paragraph.split_once('\n') {
            Some((title, examples)) if title.ends_with(':') => writeln!(text, "\n{title}\n\n```text\n{examples}\n```")?,
            _ => writeln!(text, "\n{paragraph}")?,
        }
    }
    Ok(())
}

/// One table of arguments and options; the global ones stand once, above all commands.
fn arguments(text: &mut String, command: &Command, global: bool) -> std::fmt::Result {
    let own = |arg: &&Arg| {
        let of_clap = matches!(arg.get_id().as_str(), "help" | "version") && !global;
        !arg.is_hide_set() && arg.is_global_set() == global && !of_clap
    };
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(own).partition(|arg| arg.is_positional());
    if positional.is_empty() && options.is_empty() {
        return Ok(());
    }
    writeln!(text, "| Argument | Meaning |\n|---|---|")?;
    for arg in positional.into_iter().chain(options) {
        writeln!(text, "| `{}` | {} |", spelled(arg).replace('|', "\\|"), cell(&meaning(arg)))?;
    }
    Ok(())
}

/// `-o, --output <FILE>`, `[BUNDLE]`, `--app <COMMAND>...`.
fn spelled(arg: &Arg) -> String {
    let value = arg.get_value_names().map(|names| names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>());
    let value = value.unwrap_or_default().join(" ");
    let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let dots = if many { "..." } else { "" };
    if arg.is_positional() {
        let value = if arg.is_required_set() { value } else { value.replace('<', "[").replace('>', "]") };
        let dashes = if arg.is_last_set() { "-- " } else { "" };
        return format!("{dashes}{value}{dots}");
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flag = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append if optional => format!("{flag}[={value}]"),
        ArgAction::Set | ArgAction::Append => format!("{flag} {value}{dots}"),
        _ => flag,
    }
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({help})", value.get_name()),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !possible.is_empty() && arg.get_action().takes_values() {
        let end = if text.ends_with('.') { "" } else { "." };
        text.push_str(&format!("{end} One of {}.", possible.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if !defaults.join("").is_empty() && arg.get_action().takes_values() {
        text.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    text
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// In one line, for a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_spelled_as_the_usage_spells_it() {
        let required = Arg::new("a").value_name("FILE").required(true);
        assert_eq!(spelled(&required), "<FILE>");
        assert_eq!(spelled(&Arg::new("b").value_name("CMD").last(true)), "-- [CMD]");
        assert_eq!(spelled(&Arg::new("c").short('c').long("cc").value_name("N")), "-c, --cc <N>");
        assert_eq!(spelled(&Arg::new("d").long("dd").action(ArgAction::SetTrue)), "--dd");
    }

    #[test]
    fn examples_are_not_filled_into_a_paragraph() {
        assert_eq!(mended("\n.SH EXTRA\nExamples:\n  a\n  b\nEnd\n"), "\n.SH EXAMPLES\n.nf\n  a\n  b\n.fi\nEnd\n");
    }
}
