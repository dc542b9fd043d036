//! Files that stay open for writing over the end of an execution: what a later one writes through such a descriptor
//! is seen by nobody, so it is looked whether they changed.

use std::{collections::BTreeMap, os::unix::fs::MetadataExt as _, path::Path};

use crate::{
    capture,
    files::{self, Signature},
};

/// More are not looked after.
const MOST: usize = 64;

/// Each file with the process that has it open, and size and mtime when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(BTreeMap<Vec<u8>, (u32, (u64, i64))>);

impl OpenFiles {
    /// Looks after `path`, which lies at `host`, if the process has it open for writing now.
    pub(super) fn add(&mut self, path: &[u8], host: &Path, pid: u32) {
        let Ok(metadata) = files::metadata(host) else { return };
        if self.0.len() < MOST && capture::writes(pid, (metadata.dev(), metadata.ino())) {
            self.0.insert(path.to_vec(), (pid, content(&metadata)));
        }
    }

    /// The files that changed since they were looked at last, and who had them open. Those that are closed now are
    /// looked after no longer.
    pub(super) fn changed(&mut self, host: impl Fn(&[u8]) -> std::path::PathBuf) -> Vec<(Vec<u8>, u32)> {
        let mut changed = Vec::new();
        for (path, (pid, before)) in std::mem::take(&mut self.0) {
            let place = host(&path);
            if files::metadata(&place).is_ok_and(|metadata| content(&metadata) != before) {
                changed.push((path.clone(), pid));
            }
            self.add(&path, &place, pid);
        }
        changed
    }
}

/// What of a file's metadata tells its content.
fn content(metadata: &std::fs::Metadata) -> (u64, i64) {
    (metadata.len(), Signature::of(metadata).mtime_ns)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_looked_after_as_long_as_somebody_may_write_it() {
        let dir = tempfile::tempdir().unwrap();
        let (own, host) = (std::process::id(), |path: &[u8]| dir.path().join(std::str::from_utf8(path).unwrap()));
        std::fs::write(host(b"read"), "x").unwrap();
        let reading = crate::files::open(&host(b"read")).unwrap();
        let mut writing = std::fs::File::create(host(b"written")).unwrap();
        let mut open = OpenFiles::default();
        for path in [&b"read"[..], b"written", b"gone"] {
            open.add(path, &host(path), own);
        }
        assert_eq!(open.0.keys().collect::<Vec<_>>(), [b"written"]);
        assert!(open.changed(host).is_empty());
        writing.write_all(b"more").unwrap();
        assert_eq!(open.changed(host), [(b"written".to_vec(), own)]);
        assert!(open.changed(host).is_empty());
        // What was written just before the end is found once more.
        writing.write_all(b"more").unwrap();
        drop((writing, reading));
        assert_eq!(open.changed(host), [(b"written".to_vec(), own)]);
        assert!(open.0.is_empty());
    }
}
