//! Tells what a session touched from what lies beside it, for an export that keeps only the first.

use std::collections::BTreeSet;

use super::{
    model::{Class, Entry, EntryKind, Inventory, Source},
    paths,
};

/// Marks every entry that a replay does without as one that goes into a layer of its own ([`Entry::apart`]).
///
/// Only libraries are told apart: files of distributions and of system packages. What was touched of them stays, and
/// what belongs to it: the source of touched bytecode and the bytecode of touched source, and all links. So do the
/// interpreter with its standard library, what installers wrote, and everything of the user's.
pub fn mark_untouched(inventory: &mut Inventory) {
    let image_path = |filename: &[u8]| filename.strip_prefix(b"/").unwrap_or(filename).to_vec();
    let mut pairs: BTreeSet<Vec<u8>> = BTreeSet::new();
    for (path, entry) in &inventory.entries {
        if let Some(source) = bytecode_of(entry).map(image_path)
            && (entry.touched || inventory.entries.get(&source).is_some_and(|source| source.touched))
        {
            pairs.insert(path.clone());
            pairs.insert(source);
        }
    }
    for (path, entry) in &mut inventory.entries {
        let is_library = matches!(entry.class, Class::Distribution | Class::SystemPackage);
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        entry.apart = is_library && is_file && !entry.touched && !pairs.contains(path) && !starts_python(path);
    }
}

/// The inventory without what [`mark_untouched`] marked, and without the distributions of which nothing is left.
pub fn without_apart(inventory: &Inventory) -> Inventory {
    let mut kept = inventory.clone();
    kept.entries.retain(|_, entry| !entry.apart);
    let used: BTreeSet<usize> = kept.entries.values().filter_map(|entry| entry.component).collect();
    let mut places = Vec::with_capacity(kept.components.len());
    let mut components = Vec::new();
    for (index, component) in kept.components.into_iter().enumerate() {
        places.push(used.contains(&index).then_some(components.len()));
        if used.contains(&index) {
            components.push(component);
        }
    }
    kept.components = components;
    for entry in kept.entries.values_mut() {
        entry.component = entry.component.and_then(|old| places.get(old).copied().flatten());
    }
    kept
}

/// Files of system packages that no system call of the session names, or that an error is told with: the loader, which
/// Linux maps itself, the interpreter, and its standard library.
fn starts_python(path: &[u8]) -> bool {
    let name = paths::name(path);
    let in_library = memchr::memmem::find(path, b"lib/python3").is_some();
    let of_a_distribution =
        paths::has_component(path, b"dist-packages") || paths::has_component(path, b"site-packages");
    (name.starts_with(b"ld-") && memchr::memmem::find(name, b".so").is_some())
        || name.starts_with(b"libpython")
        || (name.starts_with(b"python") && paths::name(paths::parent(path)) == b"bin")
        || (in_library && !of_a_distribution)
}

/// The path of its source in the image.
fn bytecode_of(entry: &Entry) -> Option<&[u8]> {
    match &entry.kind {
        EntryKind::File { source: Source::Bytecode { filename, .. }, .. } => Some(filename),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{files::Signature, inventory::model::Component};

    fn entry(class: Class, source: Source, touched: bool, component: Option<usize>) -> Entry {
        let kind = EntryKind::File { source, size: 1, executable: false, mtime: None };
        Entry { kind, class, rule: "test", component, original: None, touched, apart: false }
    }

    fn plain() -> Source {
        Source::Bytes((*b"x").into())
    }

    #[test]
    fn a_library_keeps_what_was_touched_and_its_other_half() {
        let compiled = |of: &str| Source::Bytecode {
            path: "/x".into(),
            signature: Signature { dev: 0, ino: 0, size: 1, mtime_ns: 0, ctime_ns: 0 },
            filename: format!("/{of}").into_bytes(),
        };
        let mut inventory = Inventory {
            components: vec![
                Component { name: "used".to_owned(), ..Component::default() },
                Component { name: "unused".to_owned(), ..Component::default() },
                Component { name: "half".to_owned(), ..Component::default() },
            ],
            ..Inventory::default()
        };
        for (path, class, source, touched, component) in [
            ("u/a.py", Class::Distribution, plain(), false, Some(0)),
            ("u/a.pyc", Class::Distribution, compiled("u/a.py"), true, Some(0)),
            ("n/b.py", Class::Distribution, plain(), false, Some(1)),
            ("n/b.pyc", Class::Distribution, compiled("n/b.py"), false, Some(1)),
            ("h/c.py", Class::Distribution, plain(), true, Some(2)),
            ("h/c.pyc", Class::Distribution, compiled("h/c.py"), false, Some(2)),
            ("h/d.so", Class::Distribution, plain(), false, Some(2)),
            ("lib/os.py", Class::StandardLibrary, plain(), false, None),
            ("data.csv", Class::Dataset, plain(), false, None),
            ("usr/bin/bash", Class::SystemPackage, plain(), false, None),
            ("usr/bin/python3.13", Class::SystemPackage, plain(), false, None),
            ("usr/lib/python3.13/os.py", Class::SystemPackage, plain(), false, None),
            ("lib64/ld-linux-x86-64.so.2", Class::SystemPackage, plain(), false, None),
        ] {
            inventory.entries.insert(path.into(), entry(class, source, touched, component));
        }
        mark_untouched(&mut inventory);
        let apart: Vec<_> = inventory
            .entries
            .iter()
            .filter(|(_, entry)| entry.apart)
            .map(|(path, _)| String::from_utf8_lossy(path).into_owned())
            .collect();
        assert_eq!(apart, ["h/d.so", "n/b.py", "n/b.pyc", "usr/bin/bash"]);
        let kept = without_apart(&inventory);
        let names: Vec<_> = kept.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["used", "half"]);
        assert_eq!(kept.entries.get(&b"h/c.py"[..]).unwrap().component, Some(1));
    }
}
