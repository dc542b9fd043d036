//! What `nbpack show` says to a person.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Inputs, Subject, lineage_json, shown, versions};
use crate::{
    cli::sessions::rfc3339,
    session::model::{CommMessage, Execution, FileVersion, Output, Recording, Role, Status},
    store::Store,
};

/// More addresses of other machines are counted only; `--json` has them all.
const MOST_ADDRESSES: usize = 5;
/// Lines of one output that are shown; `--json` has them all.
const OUTPUT_LINES: usize = 12;

/// One screen.
pub(super) fn summary(subject: &Subject, store: &Store) -> String {
    let recording = &subject.recording;
    let info = &recording.info;
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<12} {value}\n"));
    line("session", info.id.0.clone());
    if let Some(manifest) = &subject.manifest {
        line("bundle", manifest.clone());
    }
    let notebook = info.notebook.as_ref().map_or_else(|| "(not known)".to_owned(), |path| path.display().to_string());
    let by = match subject.by {
        Some(by @ ("cells" | "code")) => format!("  (recognised by its {by})"),
        _ => String::new(),
    };
    line("notebook", shown(notebook.as_bytes()) + &by);
    line("kernel", format!("{} ({})", info.display_name, info.kernel));
    let end = match (info.running, info.ended) {
        (true, _) => "still running".to_owned(),
        (false, Some(ended)) => rfc3339(ended),
        // A bundle of a running session has no end either.
        (false, None) if subject.manifest.is_some() => "(its end is not recorded)".to_owned(),
        (false, None) => "killed".to_owned(),
    };
    line("time", format!("{} to {end}", rfc3339(info.started)));
    line("executions", executions(recording));
    line("datasets", total(&Inputs::of(recording, store).datasets));
    line("results", total(&versions(recording, Role::Written)));
    line("processes", recording.processes.len().to_string());
    line("network", network(recording));
    line("files seen", crate::session::files_seen(&info.coverage, recording.facts.get("capture.mechanism")));
    for (name, key) in [("note", "notes"), ("tag", "tags"), ("excluded", "excludes")] {
        let said = recording.facts.get(key).and_then(Value::as_array);
        for value in said.into_iter().flatten().filter_map(Value::as_str) {
            line(name, shown(value.as_bytes()));
        }
    }
    for gap in &recording.gaps {
        line("gap", format!("{}: {}", gap.reason, gap.detail));
    }
    for version in recording.versions.iter().filter(|version| version.unstable || version.digest.is_none()) {
        line("attention", format!("{}: {}", shown(&version.path), version.note.as_deref().unwrap_or("not hashed")));
    }
    text
}

fn executions(recording: &Recording) -> String {
    let visible: Vec<&Execution> = recording.executions.iter().filter(|execution| !execution.silent).collect();
    let count = |wanted: Option<Status>| visible.iter().filter(|execution| execution.status == wanted).count();
    let parts = [("error", Some(Status::Error)), ("aborted", Some(Status::Aborted)), ("unfinished", None)];
    let mut text = visible.len().to_string();
    for (name, status) in parts {
        let n = count(status);
        if n > 0 {
            text.push_str(&format!(", {n} {name}"));
        }
    }
    text
}

/// The addresses beyond this machine that were asked for, and in which executions.
fn network(recording: &Recording) -> String {
    let mut by_address: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for connection in recording.connections.iter().filter(|connection| is_remote(&connection.address)) {
        let execution = connection.execution.map_or_else(|| "outside".to_owned(), |id| format!("#{id}"));
        by_address.entry(connection.address.trim_start_matches("tcp:")).or_default().insert(execution);
    }
    let list = by_address.iter().take(MOST_ADDRESSES).map(|(address, executions)| {
        let executions: Vec<&str> = executions.iter().map(String::as_str).collect();
        format!("{} ({})", shown(address.as_bytes()), executions.join(" "))
    });
    let list: Vec<String> = list.collect();
    match (list.is_empty(), by_address.len().saturating_sub(MOST_ADDRESSES)) {
        (true, _) => "none".to_owned(),
        (false, 0) => list.join(", "),
        (false, more) => format!("{}, and {more} more", list.join(", ")),
    }
}

fn is_remote(address: &str) -> bool {
    address.starts_with("tcp:") && !address.starts_with("tcp:127.") && !address.starts_with("tcp:[::1]")
}

fn total(versions: &[&FileVersion]) -> String {
    let bytes: u64 = versions.iter().map(|version| version.signature.size).sum();
    format!("{} ({})", versions.len(), crate::cli::progress::bytes(bytes))
}

/// The executions in their true order, with what the frontend's widgets said between them.
pub(super) fn cells(recording: &Recording) -> String {
    let mut text = String::new();
    let clients: BTreeSet<_> = recording.executions.iter().map(|one| (&one.username, &one.client)).collect();
    let deleted = recording.deleted_cells();
    comms(&mut text, recording, None);
    for execution in &recording.executions {
        let count = execution.execution_count.map_or_else(|| " ".to_owned(), |count| count.to_string());
        let mut words = words(execution);
        if clients.len() > 1 {
            words.push(format!("from {}/{}", execution.username, head(&execution.client)));
        }
        let mut cell = String::new();
        if let Some(id) = &execution.cell_id {
            cell = format!("  cell {}", shown(id.as_bytes()));
            if let Some(before) = deleted.get(id).filter(|before| **before > execution.id) {
                cell.push_str(&format!(" (deleted before #{before})"));
            }
        }
        let words = shown(words.join(", ").as_bytes());
        text.push_str(&format!("#{} In [{count}]  {}  {words}{cell}\n", execution.id, rfc3339(execution.sent)));
        indent(&mut text, &execution.code, usize::MAX);
        for exchange in &execution.stdin {
            let answer = if exchange.masked { "(masked)" } else { exchange.value.as_deref().unwrap_or("(no answer)") };
            indent(&mut text, &format!("? {}{answer}", exchange.prompt), OUTPUT_LINES);
        }
        for output in &execution.outputs {
            indent(&mut text, &output_text(output), OUTPUT_LINES);
        }
        for (name, value) in execution.user_expressions.as_object().into_iter().flatten() {
            let plain = value.pointer("/data/text~1plain").or_else(|| value.get("evalue")).and_then(Value::as_str);
            indent(&mut text, &format!("{name} = {}", plain.unwrap_or_default()), OUTPUT_LINES);
        }
        text.push('\n');
        comms(&mut text, recording, Some(execution.id));
    }
    for gap in &recording.gaps {
        text.push_str(&format!("gap: {}: {}\n", gap.reason, shown(gap.detail.as_bytes())));
    }
    text
}

/// How an execution ended, in a few words.
fn words(execution: &Execution) -> Vec<String> {
    let mut words = vec![match execution.status {
        Some(Status::Ok) => "ok".to_owned(),
        Some(Status::Error) => format!("error {}", execution.ename.as_deref().unwrap_or_default()),
        Some(Status::Aborted) => "aborted".to_owned(),
        None => "unfinished".to_owned(),
    }];
    if let (Some(busy), Some(idle)) = (execution.busy, execution.idle) {
        words.push(format!("{:.3} s", (idle - busy) as f64 / 1e9));
    }
    let flags = [(execution.silent, "silent"), (execution.is_magic, "nbpack"), (execution.interrupted, "interrupted")];
    words.extend(flags.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
    words
}

/// The comm messages of the frontend that came after an execution and before the next; runs of one comm in one line.
fn comms(text: &mut String, recording: &Recording, after: Option<i64>) {
    let these: Vec<&CommMessage> = recording.comms.iter().filter(|comm| comm.after == after).collect();
    for run in these.chunk_by(|a, b| (&a.comm_id, &a.msg_type) == (&b.comm_id, &b.msg_type)) {
        let Some(first) = run.first() else { continue };
        let times = if run.len() > 1 { format!(" ×{}", run.len()) } else { String::new() };
        let id = head(&first.comm_id);
        text.push_str(&format!("{}{times}  {}  comm {}\n\n", first.msg_type, rfc3339(first.at), shown(id.as_bytes())));
    }
}

/// The first characters of an id.
fn head(id: &str) -> String {
    id.chars().take(8).collect()
}

fn output_text(output: &Output) -> String {
    let quoted = |text: &str| text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n");
    match output {
        Output::Stream { text, .. } => quoted(text),
        Output::Error { ename, evalue, .. } => quoted(&format!("{ename}: {evalue}")),
        Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => {
            let plain = data.get("text/plain").and_then(Value::as_str).unwrap_or_default();
            let others: Vec<&str> = data.keys().map(String::as_str).filter(|mime| *mime != "text/plain").collect();
            let others = if others.is_empty() { String::new() } else { format!("\n[{}]", others.join(", ")) };
            quoted(&format!("{plain}{others}"))
        }
    }
}

/// Adds the text with four spaces before each line, made safe for a terminal; at most `limit` lines.
fn indent(out: &mut String, text: &str, limit: usize) {
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().take(limit) {
        out.push_str(&format!("    {}\n", shown(line.replace('\t', "    ").as_bytes())));
    }
    if lines.len() > limit {
        out.push_str(&format!("    ({} more lines)\n", lines.len() - limit));
    }
}

/// Inputs and results with their digests.
pub(super) fn datasets(recording: &Recording, store: &Store) -> String {
    let mut text = String::new();
    let Inputs { datasets, others } = Inputs::of(recording, store);
    for (title, list) in [("read", datasets), ("written", versions(recording, Role::Written))] {
        for version in list {
            let digest = version.digest.map_or_else(|| "(not hashed)".to_owned(), |digest| digest.to_string());
            let at = version.execution.map_or_else(|| "outside".to_owned(), |execution| format!("#{execution}"));
            let note = version.note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default();
            text.push_str(&format!("{title:<8} {at:<8} {digest}  {}{note}\n", shown(&version.path)));
        }
    }
    if text.is_empty() {
        text.push_str("no data was read or written\n");
    }
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for (_, class) in others {
        *classes.entry(serde_json::json!(class).as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    if !classes.is_empty() {
        let classes: Vec<String> = classes.iter().map(|(class, count)| format!("{count} {class}")).collect();
        text.push_str(&format!("also read: {} (`--json` lists them as other_inputs)\n", classes.join(", ")));
    }
    text
}

/// Name, version, where from.
pub(super) fn libraries(components: &Value) -> String {
    let mut text = String::new();
    for component in components.as_array().into_iter().flatten() {
        let word = |name: &str| component.get(name).and_then(Value::as_str).unwrap_or_default();
        let state = match (component["loaded"].as_bool(), component["dependency"].as_bool()) {
            (Some(true), _) => "loaded",
            (_, Some(true)) => "dependency",
            _ => "installed",
        };
        text.push_str(&format!("{:<8} {:<32} {:<20} {state}\n", word("kind"), word("name"), word("version")));
    }
    if text.is_empty() { "no libraries are known\n".to_owned() } else { text }
}

/// Which cell read and wrote what.
pub(super) fn lineage(recording: &Recording) -> String {
    let mut text = String::new();
    for entry in lineage_json(recording).as_array().into_iter().flatten() {
        let title =
            entry["execution"].as_i64().map_or_else(|| "outside".to_owned(), |execution| format!("#{execution}"));
        text.push_str(&title);
        text.push('\n');
        let known: Vec<&str> =
            entry["used"].as_array().into_iter().flatten().filter_map(|file| file["path"].as_str()).collect();
        for file in entry["used"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "    used       {}  {}\n",
                short(&file["digest"]),
                file["path"].as_str().unwrap_or_default()
            ));
        }
        for path in entry["read"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|path| !known.contains(path))
        {
            text.push_str(&format!("    used       {:12}  {path}\n", ""));
        }
        for file in entry["generated"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "    generated  {}  {}\n",
                short(&file["digest"]),
                file["path"].as_str().unwrap_or_default()
            ));
        }
    }
    if text.is_empty() { "no data was read or written\n".to_owned() } else { text }
}

fn short(digest: &Value) -> String {
    let hex = digest.as_str().and_then(|text| text.strip_prefix("sha256:")).unwrap_or("-");
    format!("{:12}", hex.chars().take(12).collect::<String>())
}

/// A file's class and the rule that gave it.
pub(super) fn why(why: &Value) -> String {
    let word = |name: &str| why[name].as_str().unwrap_or_default().to_owned();
    let mut text = format!("{}\nclass  {}\nrule   {}: {}\n", word("path"), word("class"), word("rule"), word("text"));
    match why["image_path"].as_str() {
        Some(path) => text.push_str(&format!("packed as /{path}\n")),
        None => text.push_str("not packed\n"),
    }
    for file in why["uses"].as_array().into_iter().flatten() {
        let at = file["execution"].as_i64().map_or_else(|| "outside".to_owned(), |execution| format!("#{execution}"));
        text.push_str(&format!("{at:<8} {} ({}×)\n", file["use"].as_str().unwrap_or_default(), file["count"]));
    }
    text
}
