//! The floors of docs/ARCHITECTURE.md, enforced: a module imports only from floors below its own.

use std::{fs, path::Path};

/// Ground floor first. Modules on one floor do not import each other.
const FLOORS: &[&[&str]] = &[
    &["digest", "files"],
    &["event", "jupyter", "signature", "socket_dir", "store"],
    &["kernel", "capture", "session"],
    &["record", "inventory"],
    &["secrets"],
    &["bundle"],
    &["container", "registry"],
    &["package_index", "restore"],
    &["replay"],
    &["report"],
    &["cli"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|names| names.contains(&module))
}

#[test]
fn modules_import_only_from_floors_below() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for_each_rs(&src, &mut |path, text| {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            return;
        }
        let Some(own) = floor(module) else {
            wrong.push(format!("{module}: give it a floor"));
            return;
        };
        for name in imported(text) {
            if name != module && floor(&name).is_none_or(|other| other >= own) {
                wrong.push(format!("{}: `{module}` must not import `{name}`", inside.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn grouped_and_single_imports_are_both_seen() {
    let text = "use crate::{\n    bundle::{self, config::{A, B}},\n    digest::Digest, // crate::report\n};\nlet x = crate::files::open(p);";
    assert_eq!(imported(text), ["bundle", "digest", "files"]);
}

/// The modules named after `crate::`, alone or in a group.
fn imported(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            names.push(word(after));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(word(std::mem::take(&mut item).trim())),
                _ if depth == 0 => item.push(c),
                _ => {}
            }
        }
        names.push(word(item.trim()));
    }
    names.retain(|name| !name.is_empty());
    names
}

fn for_each_rs(dir: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_rs(&path, visit);
        } else if path.extension().is_some_and(|e| e == "rs") {
            visit(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
