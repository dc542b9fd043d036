//! The floors of docs/ARCHITECTURE.md, enforced: a module imports only from floors below its own.

use std::{fs, path::Path};

/// Ground floor first. Modules on one floor do not import each other.
const FLOORS: &[&[&str]] = &[
    &["digest", "files"],
    &["event", "jupyter", "store"],
    &["kernel", "capture", "session"],
    &["record", "inventory"],
    &["secrets"],
    &["bundle"],
    &["container"],
    &["restore"],
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
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for after in code.split("crate::").skip(1) {
                let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name.is_empty() {
                    wrong.push(format!(
                        "{}:{}: write one `use crate::module::..` per module",
                        inside.display(),
                        number + 1
                    ));
                } else if name != module && floor(&name).is_none_or(|other| other >= own) {
                    wrong.push(format!("{}:{}: `{module}` must not import `{name}`", inside.display(), number + 1));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
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
