//! What executed code only names: whether a session asked for a file's existence is not seen (`stat` is not watched),
//! so what its code spells out is looked up.

use std::{collections::BTreeSet, fs, os::unix::ffi::OsStringExt as _};

use super::{
    builder::Builder,
    collect::FactsSeed,
    model::Class,
    paths,
    rules::{Place, Usage},
    tree::{Node, Tag, Tree},
    user::is_made_here,
};

/// Files that executed code only names are not taken above this size.
pub(super) const LIMIT: u64 = 16 << 20;
/// So many names below the working directory are looked through for those that code says in part, so deep.
const MOST_NAMES: usize = 20_000;
const DEEPEST: usize = 8;

/// Adds existing files that executed code names as text: below the working directory, small, not private.
pub(crate) fn add_named_in_code(builder: &mut Builder<'_>) {
    let cwd = builder.context.cwd.clone();
    let recording = builder.recording;
    let codes = recording.executions.iter().filter(|execution| !execution.is_magic).map(|execution| &execution.code);
    let said: BTreeSet<&str> = codes.flat_map(|code| literals(code)).collect();
    let mut parts: BTreeSet<&[u8]> = BTreeSet::new();
    for text in said {
        let path = paths::fold(&paths::join(&cwd, text.as_bytes()));
        let Some(found) = builder.tree.resolve(&path) else {
            // `IMAGES / "map.png"`: the name of a file whose directory the code puts before it.
            if text.contains('.') && !text.starts_with(['/', '.']) && !text.contains("..") {
                parts.insert(text.as_bytes());
            }
            continue;
        };
        let outside = !paths::below(&found.path, &cwd) || found.path == cwd;
        if outside || builder.in_environment(&found.path) || builder.tree.entry(&found.path).is_some() {
            continue;
        }
        let usage = Usage { ordinary: true, read: true, ..Usage::default() };
        let verdict = builder.classify(&FactsSeed { path: &found.path, place: Place::Elsewhere, usage });
        if !verdict.goes_in || builder.is_excluded(&found.path) || is_made_here(builder, &found.path) {
            continue;
        }
        if found.links.iter().any(|(at, _)| is_made_here(builder, at)) {
            continue;
        }
        let tag = Tag::new(verdict.class, "named-in-code");
        match found.node {
            Node::Directory => builder.tree.add_directory(&found.path, tag),
            Node::File(meta) if meta.signature.size <= LIMIT => {
                let source = Tree::host(&found.path, &meta);
                builder.tree.add_file(&found.path, meta, source, Some(meta.seconds()), tag);
            }
            _ => continue,
        }
        builder.tree.add_links(&found.links);
    }
    if !parts.is_empty() && cwd != builder.context.home && cwd != b"/" {
        add_names_below(builder, &cwd, &parts);
    }
}

/// Adds the names of files below `top` whose paths end with one of these parts; their content does not go in.
fn add_names_below(builder: &mut Builder<'_>, top: &[u8], parts: &BTreeSet<&[u8]>) {
    let mut waiting = vec![(top.to_vec(), 0)];
    let mut seen = 0;
    while let Some((dir, depth)) = waiting.pop() {
        for entry in fs::read_dir(paths::as_path(&dir)).into_iter().flatten().filter_map(Result::ok) {
            seen += 1;
            if seen > MOST_NAMES {
                return;
            }
            let name = entry.file_name().into_vec();
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with(b".") {
                continue;
            }
            let path = paths::join(&dir, &name);
            if kind.is_dir() && depth < DEEPEST && !builder.in_environment(&path) {
                waiting.push((path, depth + 1));
            } else if kind.is_file() && ends_with_one(&path, top, parts) && !is_made_here(builder, &path) {
                let usage = Usage { ordinary: true, listed: true, ..Usage::default() };
                let verdict = builder.classify(&FactsSeed { path: &path, place: Place::Elsewhere, usage });
                if verdict.goes_in && !builder.is_excluded(&path) {
                    builder.pending_names.push((path, Tag::new(Class::Listing, "named-in-part")));
                }
            }
        }
    }
}

/// Whether whole names at the end of a path below `top` are one of these parts.
fn ends_with_one(path: &[u8], top: &[u8], parts: &BTreeSet<&[u8]>) -> bool {
    let rest = path.get(top.len()..).unwrap_or_default();
    let slashes = rest.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.into_iter().any(|at| rest.get(at + 1..).is_some_and(|tail| parts.contains(tail)))
}

/// Quoted text in code that could be a path: one line, at most 200 characters.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.lines().flat_map(|line| {
        let mut found = Vec::new();
        let mut rest = line;
        while let Some(open) = rest.find(['\'', '"']) {
            let Some(quote) = rest.get(open..).and_then(|tail| tail.chars().next()) else { break };
            let Some(tail) = rest.get(open + 1..) else { break };
            let Some(close) = tail.find(quote) else { break };
            let text = tail.get(..close).unwrap_or_default();
            if !text.is_empty() && text.len() <= 200 && !text.contains(['\\', '{', '*', '<']) && !text.contains("://") {
                found.push(text);
            }
            rest = tail.get(close + 1..).unwrap_or_default();
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_that_may_be_a_path_is_found() {
        let code = "if os.path.exists('cfg.yml'): x = \"it's\"; y = f'{z}.csv'\nprint('a/b') # don't";
        assert_eq!(literals(code).collect::<Vec<_>>(), ["cfg.yml", "it's", "a/b"]);
    }
}
