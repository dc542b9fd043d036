//! `nbpack doctor`.

use std::{io::Write as _, process::ExitCode};

use super::{
    Context,
    progress::{Progress, bytes},
    restored,
};
use crate::{
    capture,
    container::{self, ProbeResult, probe},
    files::FileError,
};

/// Less free space than this is said.
const LITTLE: u64 = 2 << 30;

/// Try what nbpack needs on this machine, and say what to do where it does not work
///
/// Exit code 0: everything works. 1: something does not.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Print what an administrator can set up once (nothing is changed)
    #[arg(long)]
    admin: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if args.admin {
        out.write_all(probe::ADMINISTRATOR.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::new(context.fancy);
    progress.stage("trying a container and the recording of files");
    let results = results(context)?;
    progress.clear();
    if args.json {
        writeln!(out, "{:#}", serde_json::to_value(&results)?)?;
    } else {
        for result in &results {
            let mark = match (result.works, &result.remedy) {
                (true, None) => "ok  ",
                // As it is on every machine: something to know, and nothing to mend.
                (true, Some(_)) => "note",
                (false, _) => "FAIL",
            };
            writeln!(out, "{mark}  {}: {}", result.name, result.detail)?;
            if let Some(remedy) = &result.remedy {
                writeln!(out, "      {remedy}")?;
            }
        }
    }
    let all = results.iter().all(|result| result.works);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn results(context: &Context) -> anyhow::Result<Vec<ProbeResult>> {
    let mut results = vec![store(context)];
    let store = context.store()?;
    crate::files::create_private_dir(&store.run())?;
    let scratch = tempfile::Builder::new()
        .prefix("probe-")
        .tempdir_in(store.run())
        .map_err(FileError::new("create a directory in", &store.run()))?;
    let program = restored::program()?;
    results.extend(container::probe(scratch.path(), &program));
    results.extend(capture::probe(&program).into_iter().map(|found| ProbeResult {
        name: found.name.to_owned(),
        works: found.works,
        detail: found.detail,
        remedy: Some(found.remedy).filter(|remedy| !remedy.is_empty()),
    }));
    Ok(results)
}

/// Whether the store can be written, and how much room there is.
fn store(context: &Context) -> ProbeResult {
    let root = context.store_root.display();
    let result = |works, detail, remedy| ProbeResult { name: "store".to_owned(), works, detail, remedy };
    let room =
        |store: &crate::store::Store| rustix::fs::statvfs(store.root()).map(|stat| stat.f_bavail * stat.f_frsize);
    match context.store().map(|store| room(&store)) {
        Err(error) => result(false, format!("{error:#}"), Some("set XDG_DATA_HOME to a directory of yours".to_owned())),
        Ok(Err(error)) => result(false, format!("`{root}`: {error}"), None),
        Ok(Ok(free)) if free < LITTLE => {
            let remedy = "`nbpack gc` and `nbpack rm` free some".to_owned();
            result(false, format!("`{root}` has only {} left", bytes(free)), Some(remedy))
        }
        Ok(Ok(free)) => result(true, format!("`{root}`, {} free", bytes(free)), None),
    }
}
