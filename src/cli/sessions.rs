//! `nbpack sessions`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use serde_json::{Value, json};

use super::{Context, failure::Failure};
use crate::{
    event::Nanos,
    record,
    session::{self, model::SessionInfo},
};

/// List what was recorded, newest first
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// As a JSON array
    #[arg(long)]
    json: bool,
    /// Only sessions of this notebook
    #[arg(long, value_name = "FILE")]
    notebook: Option<PathBuf>,
    /// Only sessions of this kernel
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Only sessions that began on this day (UTC) or later
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Option<String>,
    /// Only sessions that began before this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<String>,
    /// Only sessions with this tag (`%nbpack tag NAME`)
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = context.store()?;
    recover(&store);
    let mut broken = Vec::new();
    let mut sessions = session::list_telling(&store, &mut |id, error| broken.push(format!("{id}: {error}")))?;
    if let Some(notebook) = &args.notebook {
        let path = context.cwd.join(notebook);
        let found = session::find_telling(&store, &session::Selector::Notebook(path));
        let ids = match found {
            Ok(found) => [vec![found.id], found.others].concat(),
            Err(session::FindError::NoSession(_) | session::FindError::NothingRun(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        sessions.retain(|info| ids.contains(&info.id));
    }
    if let Some(since) = &args.since {
        let since = parse_day(since)?;
        sessions.retain(|info| info.started >= since);
    }
    if let Some(until) = &args.until {
        let until = parse_day(until)?;
        sessions.retain(|info| info.started < until);
    }
    if let Some(tag) = &args.tag {
        sessions.retain(|info| tags(&store, info).iter().any(|found| found == tag));
    }
    sessions.retain(|info| args.kernel.as_ref().is_none_or(|kernel| info.kernel == *kernel));
    let mut out = std::io::stdout().lock();
    if args.json {
        let mut list: Vec<Value> = sessions.iter().map(describe).collect();
        for (value, info) in list.iter_mut().zip(&sessions) {
            if let Some(object) = value.as_object_mut() {
                object.insert("tags".to_owned(), json!(tags(&store, info)));
            }
        }
        writeln!(out, "{:#}", Value::from(list))?;
    } else if sessions.is_empty() {
        writeln!(out, "nothing is recorded yet: choose a kernel named \"(nbpack)\" in Jupyter")?;
    } else {
        write!(out, "{}", table(&sessions))?;
    }
    drop(out);
    for line in &broken {
        writeln!(std::io::stderr().lock(), "nbpack: a session cannot be read: {line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Imports what killed recorders left; what cannot be imported is said and left for the next time.
pub(super) fn recover(store: &crate::store::Store) {
    if let Err(error) = record::recover(store) {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        // Nobody can be told when stderr is closed.
        writeln!(std::io::stderr().lock(), "nbpack: {error}{cause}").unwrap_or_default();
    }
}

/// What `%nbpack tag` said in this session; none where it cannot be read.
fn tags(store: &crate::store::Store, info: &SessionInfo) -> Vec<String> {
    let db = session::db::Db::open_read(&session::db_path(store, &info.id));
    let tags = db.ok().and_then(|db| db.fact("tags").ok().flatten());
    tags.and_then(|tags| serde_json::from_value(tags).ok()).unwrap_or_default()
}

/// A session's head as JSON.
pub(super) fn describe(info: &SessionInfo) -> Value {
    json!({
        "id": info.id,
        "notebook": info.notebook,
        "notebook_source": info.notebook_source,
        "kernel": info.kernel,
        "display_name": info.display_name,
        "language": info.language,
        "started": rfc3339(info.started),
        "ended": info.ended.map(rfc3339),
        "executions": info.executions,
        "coverage": info.coverage,
        "running": info.running,
        "exit_status": info.exit_status,
        "parent": info.parent,
    })
}

/// A time as RFC 3339 in UTC, to the millisecond.
pub(super) fn rfc3339(at: Nanos) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn parse_day(text: &str) -> anyhow::Result<Nanos> {
    let instant = format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().or_else(|_| text.parse());
    let instant = instant.map_err(|_| Failure::unable(format!("`{text}` is no day of the form YYYY-MM-DD")))?;
    Ok(Nanos::try_from(instant.as_nanosecond()).unwrap_or(Nanos::MAX))
}

fn table(sessions: &[SessionInfo]) -> String {
    let mut text =
        format!("{:<26} {:<17} {:>5}  {:<12} {:<10} NOTEBOOK\n", "SESSION", "STARTED", "CELLS", "KERNEL", "STATE");
    for info in sessions {
        let state = match (info.running, info.ended, info.exit_status) {
            (true, ..) => "running",
            (false, None, _) => "killed",
            // A front end whose patience ends before the kernel's shutdown sends SIGTERM.
            (false, Some(_), Some(0 | libc::SIGTERM)) => "ended",
            // Nor does one wait for a kernel's start that it has no use for any more.
            (false, Some(_), Some(libc::SIGINT)) if info.executions == 0 => "ended",
            (false, Some(_), Some(libc::SIGKILL)) => "killed",
            (false, Some(_), _) => "died",
        };
        let started = rfc3339(info.started).replace('T', " ");
        let notebook =
            info.notebook.as_ref().map_or_else(|| "(not known)".to_owned(), |path| path.display().to_string());
        text.push_str(&format!(
            "{:<26} {:<17} {:>5}  {:<12} {:<10} {}\n",
            info.id.0,
            started.get(..16).unwrap_or(&started),
            info.executions,
            info.kernel,
            state,
            crate::files::display_bytes(notebook.as_bytes()),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse_day("1970-01-02").unwrap(), 86_400_000_000_000);
        assert!(parse_day("yesterday").is_err());
    }
}
