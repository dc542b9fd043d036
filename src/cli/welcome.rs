//! `nbpack` without arguments: what to do next, from the state it finds.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::Context;
use crate::{
    bundle::read::Bundle,
    event::Nanos,
    jupyter::kernelspec,
    restore,
    session::{self, model::SessionInfo},
};

pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "nbpack records a Jupyter session, packs it as one file, and proves it elsewhere.\n")?;
    let mut steps = next_steps(context);
    steps.push(step("nbpack --help", "every command"));
    // All that fits beside the longest reason in 80 columns; a longer command has its reason below it.
    const WIDTH: usize = 36;
    for (command, why) in steps {
        if command.chars().count() <= WIDTH {
            writeln!(out, "  {command:<WIDTH$}  {why}")?;
        } else {
            writeln!(out, "  {command}\n  {:<WIDTH$}  {why}", "")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

type Step = (String, String);

fn step(command: impl Into<String>, why: impl Into<String>) -> Step {
    (command.into(), why.into())
}

/// Commands that make sense now, the most likely first.
fn next_steps(context: &Context) -> Vec<Step> {
    let mut steps = Vec::new();
    // A store that cannot be read is named by the command that needs it, not here.
    let store = context.store().ok();
    let sessions = store.as_ref().and_then(|store| session::list(store).ok()).unwrap_or_default();
    let restored = store.as_ref().and_then(|store| restore::list(store).ok()).unwrap_or_default();
    let bundles = bundles(&context.cwd);
    for bundle in &bundles {
        let name = quoted(&bundle.name);
        let here = restored.iter().find(|one| Some(one.manifest) == bundle.manifest);
        match here {
            Some(one) => {
                let (program, why) =
                    if one.run.has_jupyter { ("lab", "JupyterLab out of it") } else { ("run", "a shell in it") };
                steps.push(step(format!("nbpack {program} {}", quoted(&one.name)), why));
            }
            None if sessions.iter().any(|session| bundle.is_of(session)) => {
                steps.push(step(format!("nbpack sign {name}"), "sign it before you give it away"));
            }
            None => steps.push(step(format!("nbpack restore {name}"), "unpack it and get its notebook")),
        }
        steps.push(step(format!("nbpack replay {name}"), "run it again and judge every cell"));
    }
    let has_kernel = has_kernel(context);
    match sessions.iter().find(|session| session.executions > 0) {
        Some(session) => {
            if !bundles.iter().any(|bundle| bundle.is_of(session) && bundle.written > session.started) {
                let what = match &session.notebook {
                    Some(path) => path.strip_prefix(&context.cwd).unwrap_or(path).to_string_lossy().into_owned(),
                    None => session.id.to_string(),
                };
                steps.insert(0, step(format!("nbpack export {}", quoted(&what)), "pack the last session"));
            }
            steps.push(step("nbpack sessions", format!("what was recorded: {}", sessions.len())));
        }
        None if has_kernel => {
            steps.push(step("jupyter lab", "choose a kernel named \"(nbpack)\""));
        }
        None => {}
    }
    if !has_kernel {
        let install = step("nbpack install", "add \"Python 3 (nbpack)\" to Jupyter");
        // First for who has nothing yet; a colleague with a bundle needs it last.
        steps.insert(if bundles.is_empty() { 0 } else { steps.len() }, install);
    }
    if steps.len() < 4 {
        steps.push(step("nbpack demo", "see the whole way in a few minutes"));
        steps.push(step("nbpack doctor", "what this machine allows"));
    }
    steps
}

/// A bundle's file in the working directory.
struct Found {
    name: String,
    manifest: Option<crate::digest::Digest>,
    written: Nanos,
}

impl Found {
    /// Whether it has the name that an export of this session gives it.
    fn is_of(&self, session: &SessionInfo) -> bool {
        let stem = Path::new(&self.name).file_stem();
        stem.is_some() && session.notebook.as_deref().and_then(Path::file_stem) == stem
    }
}

/// The bundles in a directory, two at most.
fn bundles(dir: &Path) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "nbpack"))
        .collect();
    paths.sort();
    paths.truncate(2);
    let found = |path: PathBuf| {
        let written = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let written = written.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
        Some(Found {
            name: path.file_name()?.to_str()?.to_owned(),
            manifest: Bundle::open_any(&path).ok().map(|bundle| bundle.manifest_digest()),
            written: Nanos::try_from(written).ok()?,
        })
    };
    paths.into_iter().filter_map(found).collect()
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-/:@%+,=".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    let path = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn has_kernel(context: &Context) -> bool {
    let get = |name: &str| context.env.get(std::ffi::OsStr::new(name)).cloned();
    let path = kernelspec::SearchPath::from_env(&get, kernelspec::guess_prefix(&get).as_deref());
    kernelspec::list(&path).iter().any(|name| kernelspec::find(&path, name).is_ok_and(|spec| spec.is_ours()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_as_a_shell_wants_it() {
        assert_eq!(quoted("a/b-1.ipynb"), "a/b-1.ipynb");
        assert_eq!(quoted("it's 2.ipynb"), r"'it'\''s 2.ipynb'");
        assert_eq!(quoted("-x.nbpack"), "'./-x.nbpack'");
    }
}
