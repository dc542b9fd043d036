//! Which libraries are not what they were, and which of them an execution uses.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause::{Known, libraries, names_word},
    verdict::Cause,
    why::{distribution_of, library_of},
};
use crate::session::model::{Recording, Use};

/// Libraries in other versions, with other files, or replaced by a person: by software lists, by what both kernels
/// opened, by what was given to the replay.
pub(super) fn changed(recorded: &Recording, replayed: &Recording, known: &Known) -> Vec<Cause> {
    let mut found = known.libraries.clone();
    let mut add = |cause: Cause| {
        let Cause::Library { name, .. } = &cause else { return };
        let same = |other: &Cause| matches!(other, Cause::Library { name: other, .. } if other == name);
        if !found.iter().any(same) {
            found.push(cause);
        }
    };
    libraries(recorded, replayed).into_iter().for_each(&mut add);
    let version = |name: &str| known.versions.get(name).cloned();
    for target in &known.replaced {
        use std::os::unix::ffi::OsStrExt as _;
        // A directory is given as such: its files lie below it.
        let inside = [target.as_os_str().as_bytes(), b"/"].concat();
        if let Some(module) = library_of(&inside) {
            let name = distribution_of(&module);
            let replayed = Some("other files (given to this replay)".to_owned());
            add(Cause::Library { recorded: version(&name), name, replayed });
        }
    }
    for (name, file) in other_files(recorded, replayed) {
        add(Cause::Library { recorded: version(&name), name, replayed: Some(format!("another {file}")) });
    }
    found
}

/// Libraries of which both kernels opened a file of another size. Bytecode is left out: a bundle's is not the
/// recorder's, byte for byte.
fn other_files(recorded: &Recording, replayed: &Recording) -> BTreeMap<String, String> {
    let sizes = |recording: &Recording| -> BTreeMap<String, u64> {
        let opened = recording.files.iter().filter(|file| matches!(file.usage, Use::Read | Use::Exec));
        let sizes = opened.filter_map(|file| {
            let path = std::str::from_utf8(&file.path).ok()?;
            let (_, below) = path.split_once("-packages/").or_else(|| path.split_once("/R/library/"))?;
            let code = [".py", ".so", ".R", ".rdb"].iter().any(|end| below.ends_with(end)) || below.contains(".so.");
            code.then_some((below.to_owned(), file.signature?.size))
        });
        sizes.collect()
    };
    let (then, now) = (sizes(recorded), sizes(replayed));
    let mut found = BTreeMap::new();
    for (path, size) in then {
        if now.get(&path).is_some_and(|other| *other != size)
            && let Some(module) = library_of(format!("/x-packages/site-packages/{path}").as_bytes())
        {
            found.entry(distribution_of(&module)).or_insert(path);
        }
    }
    found
}

/// Those of the changed libraries that the code of these executions names; where it names none, those whose files they
/// opened; else all.
pub(super) fn behind(recorded: &Recording, executions: &[i64], text: &str, changed: &[Cause]) -> Vec<Cause> {
    const MOST: usize = 5;
    if changed.is_empty() {
        return Vec::new();
    }
    let choose = |wanted: &dyn Fn(&str) -> bool| -> Vec<Cause> {
        let chosen = changed.iter().filter(|cause| matches!(cause, Cause::Library { name, .. } if wanted(name)));
        chosen.take(MOST).cloned().collect()
    };
    let opened = recorded.files.iter().filter(|file| {
        matches!(file.usage, Use::Read | Use::Exec) && file.execution.is_some_and(|id| executions.contains(&id))
    });
    let modules: BTreeSet<String> = opened.filter_map(|file| library_of(&file.path)).collect();
    let named: BTreeSet<String> =
        modules.iter().filter(|module| names_word(text, module)).map(|module| distribution_of(module)).collect();
    let said = choose(&|name| named.contains(name) || names_word(text, &name.replace('-', "_")));
    if !said.is_empty() {
        return said;
    }
    let loaded: BTreeSet<String> = modules.iter().map(|module| distribution_of(module)).collect();
    let by_files = choose(&|name| loaded.contains(name));
    if by_files.is_empty() { choose(&|_| true) } else { by_files }
}
