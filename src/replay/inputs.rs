//! Which inputs of a session have other bytes in another one, and which executions read them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    lineage::is_kernels_own,
    verdict::{Cause, Judged},
};
use crate::{
    digest::Digest,
    files::display_bytes,
    session::model::{FileUse, Recording, Role, Use},
};

/// An input whose content is not what it was.
#[derive(Clone, Debug)]
pub(super) struct ChangedInput {
    path: Vec<u8>,
    recorded: Option<Digest>,
    replayed: Option<Digest>,
    missing: bool,
}

impl ChangedInput {
    /// As a cause; `read_in` is the number of the execution that read it, where that is another one.
    pub(super) fn cause(&self, read_in: Option<usize>) -> Cause {
        let path = display_bytes(&self.path).to_string();
        if self.missing {
            return Cause::Missing { path };
        }
        Cause::Data { path, read_in, recorded: self.recorded, replayed: self.replayed }
    }
}

/// For each execution of the recording the files it read whose content differs in the replay.
pub(super) fn changed_inputs(
    recorded: &Recording,
    replayed: &Recording,
    judged: &[Judged],
) -> BTreeMap<i64, Vec<ChangedInput>> {
    let counterpart: BTreeMap<i64, i64> = judged.iter().filter_map(|j| Some((j.replayed?, j.recorded))).collect();
    let mut digests: BTreeMap<Vec<u8>, Digest> = BTreeMap::new();
    for version in replayed.versions.iter().filter(|version| version.role == Role::Read) {
        if let Some(digest) = version.digest {
            digests.entry(relative(replayed, &version.path)).or_insert(digest);
        }
    }
    let mut changed: BTreeMap<i64, Vec<ChangedInput>> = BTreeMap::new();
    for version in recorded.versions.iter().filter(|version| version.role == Role::Read) {
        let (Some(execution), Some(then)) = (version.execution, version.digest) else { continue };
        let now = digests.get(&relative(recorded, &version.path));
        if now.is_some_and(|now| *now != then) {
            changed.entry(execution).or_default().push(ChangedInput {
                path: version.path.clone(),
                recorded: Some(then),
                replayed: now.copied(),
                missing: false,
            });
        }
    }
    // A file is hashed once: who reads it later, unchanged, has the same input.
    let several = |path: &[u8]| recorded.versions.iter().filter(|version| version.path == path).count() > 1;
    let once: Vec<ChangedInput> = changed.values().flatten().filter(|input| !several(&input.path)).cloned().collect();
    for file in recorded.files.iter().filter(|file| matches!(file.usage, Use::Read | Use::Exec)) {
        let Some(execution) = file.execution else { continue };
        for input in once.iter().filter(|input| input.path == file.path) {
            let inputs = changed.entry(execution).or_default();
            if !inputs.iter().any(|known| known.path == input.path) {
                inputs.push(input.clone());
            }
        }
    }
    let read_then: BTreeSet<Vec<u8>> = recorded
        .files
        .iter()
        .filter(|file| matches!(file.usage, Use::Read | Use::Update) && !file.created_here)
        .map(|file| relative(recorded, &file.path))
        .collect();
    // A container without a network has no name servers: who looks up a name has no other input for that.
    let own = |path: &[u8]| is_kernels_own(path) || path == b"/etc/resolv.conf";
    let gone = |file: &&FileUse| file.usage == Use::Absent && !own(&file.path);
    for file in replayed.files.iter().filter(gone) {
        let Some(execution) = file.execution.and_then(|id| counterpart.get(&id)) else { continue };
        if read_then.contains(&relative(replayed, &file.path)) {
            let input = ChangedInput { path: file.path.clone(), recorded: None, replayed: None, missing: true };
            changed.entry(*execution).or_default().push(input);
        }
    }
    changed
}

/// A path below the working directory without it: two sessions in two places read the same `data.csv`.
pub(super) fn relative(recording: &Recording, path: &[u8]) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    let cwd = recording.info.cwd.as_os_str().as_bytes();
    match path.strip_prefix(cwd).and_then(|rest| rest.strip_prefix(b"/")) {
        Some(rest) => rest.to_vec(),
        None => path.to_vec(),
    }
}
