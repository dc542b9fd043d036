//! The lineage of a session as an inline SVG: datasets to the left, cells in the middle, what follows from what to
//! the right.

use std::collections::BTreeMap;

use super::escape;
use crate::{
    files::display_bytes,
    replay::lineage::Lineage,
    session::model::{Execution, Recording, Role},
};

/// Distance of two rows.
const ROW: usize = 26;
/// More cells than this are not drawn: the picture would say nothing.
const MOST_CELLS: usize = 150;
/// More datasets than this are not drawn.
const MOST_FILES: usize = 40;

/// The picture, or nothing for a session with one cell or too many.
pub(super) fn svg(recording: &Recording, executions: &[&Execution], class_of: &dyn Fn(i64) -> &'static str) -> String {
    if executions.len() < 2 || executions.len() > MOST_CELLS {
        return String::new();
    }
    let lineage = Lineage::of(recording);
    let rows: BTreeMap<i64, usize> = executions.iter().enumerate().map(|(row, e)| (e.id, row)).collect();
    let y = |row: usize| row * ROW + ROW / 2;
    let mut edges = String::new();
    let mut nodes = String::new();
    let mut files: BTreeMap<&[u8], usize> = BTreeMap::new();
    for version in recording.versions.iter().filter(|version| version.role == Role::Read) {
        let Some(row) = version.execution.and_then(|id| rows.get(&id)) else { continue };
        if is_library(&version.path) {
            continue;
        }
        let next = files.len();
        if next >= MOST_FILES && !files.contains_key(version.path.as_slice()) {
            continue;
        }
        let at = *files.entry(&version.path).or_insert(next);
        edges.push_str(&format!("<path d=\"M 190 {0} C 240 {0}, 240 {1}, 290 {1}\"/>", y(at), y(*row)));
    }
    for (path, at) in &files {
        let name = String::from_utf8_lossy(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()).into_owned();
        let short: String = name.chars().take(24).collect();
        nodes.push_str(&format!(
            "<g><title>{}</title><rect class=\"file\" x=\"4\" y=\"{}\" width=\"186\" height=\"20\" rx=\"4\"/>\
             <text x=\"12\" y=\"{}\">{}</text></g>",
            escape(&display_bytes(path).to_string()),
            y(*at) - 10,
            y(*at) + 4,
            escape(&short)
        ));
    }
    for (row, execution) in executions.iter().enumerate() {
        let first: String =
            execution.code.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().chars().take(30).collect();
        nodes.push_str(&format!(
            "<a href=\"#cell-{0}\"><rect class=\"cell {1}\" x=\"290\" y=\"{2}\" width=\"250\" height=\"20\" rx=\"4\"/>\
             <text x=\"298\" y=\"{3}\">{0}  {4}</text></a>",
            row + 1,
            class_of(execution.id),
            y(row) - 10,
            y(row) + 4,
            escape(&first)
        ));
        for link in lineage.links.get(&execution.id).into_iter().flatten() {
            let Some(from) = rows.get(&link.from) else { continue };
            let out = 560 + 14 * (row.saturating_sub(*from)).min(12);
            edges.push_str(&format!(
                "<path d=\"M 540 {0} C {out} {0}, {out} {1}, 540 {1}\"><title>{2}</title></path>",
                y(*from),
                y(row),
                escape(&link.through.join(", "))
            ));
        }
    }
    let height = executions.len().max(files.len()) * ROW + 8;
    format!(
        "<svg class=\"graph\" viewBox=\"0 0 740 {height}\" role=\"img\" aria-label=\"lineage of cells and files\">\
         <g class=\"edges\">{edges}</g>{nodes}</svg>"
    )
}

fn is_library(path: &[u8]) -> bool {
    ["/site-packages/", "/dist-packages/", "/R/library/"]
        .iter()
        .any(|part| path.windows(part.len()).any(|window| window == part.as_bytes()))
        || path.starts_with(b"/usr/")
        || path.starts_with(b"/etc/")
}
