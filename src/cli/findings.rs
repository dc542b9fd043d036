//! Secrets that an export found: refused with a list, or replaced.

use super::{Context, failure::Failure, terminal};
use crate::{inventory::model::Inventory, secrets, session::model::Recording, store::Store};

/// Replaces what was found; what cannot be replaced keeps the bundle from being written.
pub(super) fn redact(
    recording: &mut Recording,
    inventory: &mut Inventory,
    store: &Store,
    findings: &[secrets::Finding],
    context: &Context,
) -> anyhow::Result<()> {
    let in_record = secrets::redact(recording, findings);
    let in_files = secrets::redact_files(inventory, store, findings);
    // Said to be out is only what is not found any more.
    let left = secrets::remaining(recording, inventory, store, findings);
    if let Some(finding) = in_files.remaining.first().or(left.first()) {
        let label = label(finding);
        return Err(Failure::no(format!("{label} cannot be replaced there; nothing was written"))
            .hint(format!("leave a file out with --exclude, or let it pass with --allow '{label}'"))
            .into());
    }
    if !context.quiet {
        let texts = in_record + in_files.changed;
        let count = findings.len();
        terminal::tell(&format!("note: {count} secret(s) were replaced in {texts} text(s); the record says so"))?;
    }
    Ok(())
}

/// As `--allow` takes it.
pub(super) fn label(finding: &secrets::Finding) -> String {
    format!("{}:{}", finding.rule, finding.place)
}

/// Names what would leave, and what to do about it.
pub(super) fn refuse(findings: &[secrets::Finding]) -> anyhow::Error {
    let mut text = format!("{} secret(s) would leave with this bundle; nothing was written", findings.len());
    for finding in findings.iter().take(50) {
        text.push_str(&format!("\n  {}  {}", label(finding), finding.masked));
    }
    let hint = findings.first().map_or_else(String::new, |finding| {
        format!("replace them in the record with --redact, or let one pass with --allow '{}'", label(finding))
    });
    Failure::no(text).hint(hint).into()
}
