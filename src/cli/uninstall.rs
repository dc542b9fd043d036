//! `nbpack uninstall`.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{Context, failure::Failure, install::Place, labextension};
use crate::files::FileError;
use crate::jupyter::kernelspec;

/// Remove recording kernels from Jupyter's launcher; recordings stay
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only the kernelspec with this name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (target, path) = args.place.resolve(context)?;
    let dirs = if args.place.is_given() { vec![target] } else { path.dirs };
    let found = ours(&dirs, args.name.as_deref());
    if found.is_empty() {
        let what = args.name.map_or_else(|| "recording kernel".to_owned(), |name| format!("recording kernel `{name}`"));
        let hint = "`jupyter kernelspec list` shows the kernels; name the place with --sys-prefix or --prefix DIR";
        return Err(Failure::no(format!("no {what} is installed")).hint(hint).into());
    }
    let mut out = std::io::stdout().lock();
    for dir in &found {
        std::fs::remove_dir_all(dir).map_err(FileError::new("remove", dir))?;
        if !(args.json || context.quiet) {
            writeln!(out, "removed {}", dir.display())?;
        }
    }
    let kernels: BTreeSet<&Path> = found.iter().map(|dir| crate::files::parent(dir)).collect();
    for dir in kernels {
        if let Some(extension) = labextension::remove_unused(dir)?
            && !(args.json || context.quiet)
        {
            writeln!(out, "removed {}", extension.display())?;
        }
    }
    if args.json {
        writeln!(out, "{}", json!({ "removed": found }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The kernelspec directories that start a recording kernel. Restored kernels go only by name.
fn ours(dirs: &[PathBuf], name: Option<&str>) -> BTreeSet<PathBuf> {
    let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            kernelspec::read(path).is_ok_and(|spec| {
                spec.is_ours()
                    && match name {
                        Some(name) => spec.name == name.to_lowercase(),
                        None => spec.argv.iter().any(|arg| arg == "--wrap"),
                    }
            })
        })
        .collect()
}
