//! `nbpack` without arguments: what to do next, from the state it finds.

use std::{io::Write as _, path::Path, process::ExitCode};

use super::Context;
use crate::{jupyter::kernelspec, session};

pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "nbpack records a Jupyter session, packs it as one file, and proves it elsewhere.\n")?;
    for (command, why) in next_steps(context) {
        writeln!(out, "  {command:<34} {why}")?;
    }
    writeln!(out, "\n  {:<34} every command", "nbpack --help")?;
    Ok(ExitCode::SUCCESS)
}

/// Commands that make sense now, the most likely first.
fn next_steps(context: &Context) -> Vec<(String, String)> {
    let mut steps = Vec::new();
    for bundle in bundles(&context.cwd) {
        steps.push((format!("nbpack restore {bundle}"), "unpack this bundle and get its notebook".to_owned()));
        steps.push((format!("nbpack replay {bundle}"), "run it again and judge every cell".to_owned()));
    }
    // A store that cannot be read is named by the command that needs it, not here.
    let sessions = context.store().ok().and_then(|store| session::list(&store).ok()).unwrap_or_default();
    match sessions.iter().find(|session| session.executions > 0) {
        Some(session) => {
            let name = session.notebook.as_deref().and_then(Path::file_name);
            let what = name.map_or_else(|| session.id.to_string(), |name| name.to_string_lossy().into_owned());
            steps.push((format!("nbpack export {what}"), "pack the last session".to_owned()));
            steps.push(("nbpack sessions".to_owned(), format!("all {} that were recorded", sessions.len())));
        }
        None if has_kernel(context) => {
            steps.push(("jupyter lab".to_owned(), "choose a kernel named \"(nbpack)\" and work".to_owned()));
        }
        None => {}
    }
    if !has_kernel(context) {
        steps.push(("nbpack install".to_owned(), "add \"Python 3 (nbpack)\" to Jupyter's launcher".to_owned()));
    }
    if steps.len() < 4 {
        steps.push(("nbpack demo".to_owned(), "see the whole way in a few minutes".to_owned()));
        steps.push(("nbpack doctor".to_owned(), "what this machine allows".to_owned()));
    }
    steps
}

/// Names of the bundles in a directory, two at most.
fn bundles(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "nbpack"))
        .collect();
    names.sort();
    names.truncate(2);
    names
}

fn has_kernel(context: &Context) -> bool {
    let get = |name: &str| context.env.get(std::ffi::OsStr::new(name)).cloned();
    let path = kernelspec::SearchPath::from_env(&get, None);
    kernelspec::list(&path).iter().any(|name| kernelspec::find(&path, name).is_ok_and(|spec| spec.is_ours()))
}
