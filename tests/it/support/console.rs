//! The `console` blocks of a Markdown file, and running them.
//!
//! A line that begins with `$ ` is a command (it goes on after `\`, `&&` or `|`); the lines below it are what it says,
//! where `…` stands for anything in a line and a line of `…` alone for any lines. A comment before a block directs it:
//!
//! * `<!-- not run: WHY -->`
//! * `<!-- exit code N -->`: of its last command
//! * `<!-- serves -->`: its one command names an address at which it answers, until it is ended

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Asks the address that a server in the background has said, and ends it.
const ASK: &str = r#"pid=$!; echo 1 >"$code"
for _ in $(seq 600); do
  address=$(grep -o 'http://127[.]0[.]0[.]1:[0-9]*[^ ]*' "$said" | head -1)
  if [ -n "$address" ] && curl -sfL -o /dev/null "$address"; then echo 0 >"$code"; break; fi
  kill -0 $pid 2>/dev/null || break
  sleep 0.2
done
kill -TERM -- -$pid; wait $pid
"#;

/// One block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Its first line, from 1.
    pub(crate) line: usize,
    /// Why it is not run.
    pub(crate) not_run: Option<String>,
    exit_code: i32,
    serves: bool,
    pub(crate) steps: Vec<Step>,
}

/// A command and what it says.
#[derive(Debug, Default)]
pub(crate) struct Step {
    line: usize,
    pub(crate) command: String,
    expected: Vec<String>,
}

/// All blocks of a text. What is not understood is an error, for it would not be run.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut directions: Vec<&str> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        if let Some(direction) = line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
            directions.push(direction.trim());
        } else if let Some(language) = line.strip_prefix("```") {
            let body: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, line)| line.trim() != "```").collect();
            match language {
                "console" => blocks.push(block(at + 1, &directions, &body)?),
                "sh" | "bash" | "shell" | "" => return Err(format!("line {}: commands belong into `console`", at + 1)),
                _ => {}
            }
            directions.clear();
        } else if !line.is_empty() {
            directions.clear();
        }
    }
    Ok(blocks)
}

fn block(line: usize, directions: &[&str], body: &[(usize, &str)]) -> Result<Block, String> {
    let mut block = Block { line, ..Block::default() };
    for direction in directions {
        match direction.split_once(": ") {
            Some(("not run", why)) => block.not_run = Some(why.to_owned()),
            None if *direction == "serves" => block.serves = true,
            _ => match direction.strip_prefix("exit code ").and_then(|code| code.parse().ok()) {
                Some(code) => block.exit_code = code,
                None => return Err(format!("line {line}: `{direction}` is no direction")),
            },
        }
    }
    let mut goes_on = false;
    for (at, text) in body {
        if let Some(command) = text.strip_prefix("$ ").filter(|_| !goes_on) {
            block.steps.push(Step { line: at + 1, command: command.to_owned(), ..Step::default() });
        } else {
            let step = block.steps.last_mut().ok_or(format!("line {}: words before the first command", at + 1))?;
            if goes_on {
                write!(step.command, "\n{text}").unwrap();
            } else {
                step.expected.push((*text).to_owned());
                continue;
            }
        }
        goes_on = ["\\", "&&", "|"].iter().any(|end| text.trim_end().ends_with(end));
    }
    if block.steps.is_empty() || (block.serves && block.steps.len() != 1) {
        return Err(format!("line {line}: a block without a command, or more than one that serves"));
    }
    Ok(block)
}

/// Where commands run.
pub(crate) struct Place<'a> {
    /// The working directory, and what the documents call it.
    pub(crate) work: &'a Path,
    /// A directory for the runner's own files.
    pub(crate) notes: &'a Path,
    /// Words of the documents and what they are here: in commands forth, in what they say back.
    pub(crate) words: Vec<(String, String)>,
}

impl Place<'_> {
    /// Runs one block with a shell that `start` makes; its variables and directory go on into the next block.
    pub(crate) fn run(&self, block: &Block, start: &dyn Fn() -> Command) -> Result<(), String> {
        let file = |name: &str, index: usize| self.notes.join(format!("{name}.{index}"));
        let state = self.notes.join("state");
        let mut script = format!("cd {}\n[ ! -e {} ] || . {}\n", quoted(self.work), quoted(&state), quoted(&state));
        for (index, step) in block.steps.iter().enumerate() {
            let command = self.words.iter().fold(step.command.clone(), |text, (there, here)| text.replace(there, here));
            let (said, code) = (quoted(&file("said", index)), quoted(&file("code", index)));
            let last = index + 1 == block.steps.len();
            let wanted = if last { block.exit_code } else { 0 };
            if block.serves {
                write!(script, "set -m\n( {command} ) >{said} 2>&1 </dev/null &\nsaid={said} code={code}\n{ASK}")
                    .unwrap();
            } else {
                write!(
                    script,
                    "{{ {command}\n}} >{said} 2>&1 </dev/null\ncode=$?; echo $code >{code}\n[ $code = {wanted} ] || exit 1\n"
                )
                .unwrap();
            }
        }
        writeln!(script, "{{ declare -px; echo \"cd $(printf %q \"$PWD\")\"; }} >{}", quoted(&state)).unwrap();
        let status = start().arg("-c").arg(&script).stdin(Stdio::null()).status().map_err(|error| error.to_string())?;
        for (index, step) in block.steps.iter().enumerate() {
            let said = std::fs::read_to_string(file("said", index)).unwrap_or_default();
            let code = std::fs::read_to_string(file("code", index)).unwrap_or_default();
            let said = self.words.iter().fold(said, |text, (there, here)| text.replace(here, there));
            let last = index + 1 == block.steps.len();
            let wanted = if last { block.exit_code } else { 0 };
            if code.trim() != wanted.to_string() {
                return Err(format!(
                    "line {}: `{}` ended with {}, not {wanted}:\n{said}",
                    step.line,
                    step.command,
                    code.trim()
                ));
            }
            let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
            let expected: Vec<&str> = step.expected.iter().map(|line| line.trim_end()).collect();
            if !expected.is_empty() && !agree(&expected, &lines) {
                return Err(format!("line {}: `{}` says something else:\n{said}", step.line, step.command));
            }
        }
        if status.success() { Ok(()) } else { Err(format!("line {}: the shell ended with {status}", block.line)) }
    }
}

/// Whether the lines are the expected ones.
fn agree(expected: &[&str], said: &[&str]) -> bool {
    match expected.split_first() {
        None => said.iter().all(|line| line.is_empty()),
        Some((&"…", rest)) => (0..=said.len()).any(|skipped| agree(rest, &said[skipped..])),
        Some((line, rest)) => {
            said.split_first().is_some_and(|(first, others)| fits(line, first) && agree(rest, others))
        }
    }
}

/// Whether one line is the expected one.
fn fits(expected: &str, said: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_str().unwrap())
}

#[test]
fn directions_commands_and_what_they_say_are_told_apart() {
    let text = "<!-- not run: needs a cluster -->\n```console\n$ a\n```\nx\n```console\n$ b \\\n  c\nsaid\n$ d\n```\n";
    let found = blocks(text).unwrap();
    assert_eq!(found[0].not_run.as_deref(), Some("needs a cluster"));
    let commands: Vec<&str> = found[1].steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!((commands, found[1].line), (vec!["b \\\n  c", "d"], 6));
    assert_eq!(found[1].steps[0].expected, ["said"]);
    assert!(blocks("```sh\nx\n```\n").is_err() && blocks("<!-- nonsense -->\n```console\n$ a\n```\n").is_err());
}

#[test]
fn what_varies_is_left_open_and_nothing_else() {
    assert!(agree(&["a…z", "…", "end"], &["abz", "x", "y", "end"]));
    assert!(agree(&["…"], &[]) && agree(&["a … b …"], &["a 1 b 2"]));
    assert!(!agree(&["a"], &["a", "b"]) && !agree(&["a", "b"], &["a"]) && !agree(&["a…c"], &["ab"]));
}
