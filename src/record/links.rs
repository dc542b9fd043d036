//! Where a path leads at this moment: every symbolic link on it is followed, and those that were there before the
//! session are told.
//!
//! A record that called files by the names that they were opened by would be wrong as soon as the session puts another
//! link in the place of one (`latest`, a cache's snapshot): two files would have one name. So data is recorded where it
//! lies, and a link by what it said when the session began (`symlink(7)`, `path_resolution(7)`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{paths::as_path, touched::born_since};
use crate::{
    capture::target::{held_path, hold_root},
    event::{Event, Nanos},
    files,
    session::model::{LINK, Link},
};

/// As many symbolic links as Linux follows in one path.
const MOST_WALKED: usize = 40;
/// More directories than this are not remembered.
const MANY: usize = 16_384;

/// The links of one session.
#[derive(Debug)]
pub(super) struct Links {
    /// The target's paths are reached through `/proc/PID/root`.
    foreign_root: bool,
    /// The root of the first process that was met, for the paths of those that are gone when they are looked at.
    root: OnceLock<OwnedFd>,
    started: Nanos,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Directories, as they were named, and where they lie. Forgotten when a name that may be one of theirs changes.
    dirs: HashMap<Vec<u8>, Vec<u8>>,
    /// Links whose text at the session's beginning was told.
    told: HashSet<Vec<u8>>,
    /// Links that the session made.
    made: HashSet<Vec<u8>>,
}

/// Where a path leads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Walked {
    /// Without a link in it, but for the last name when that was not to be followed.
    pub(super) path: Vec<u8>,
    /// Facts to be written: links that were there before the session and that nobody was told of yet.
    pub(super) facts: Vec<Event>,
    /// Links of the session itself that were walked.
    pub(super) made: Vec<Vec<u8>>,
}

/// A name that is a link.
struct Found {
    text: Vec<u8>,
    /// It was made after the session began.
    new: bool,
}

impl Links {
    pub(super) fn new(foreign_root: bool, started: Nanos) -> Self {
        Self { foreign_root, root: OnceLock::new(), started, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, pid: u32, path: &[u8]) -> PathBuf {
        if self.foreign_root {
            let rest = path.strip_prefix(b"/").unwrap_or(path);
            self.root_of(pid).join(as_path(rest))
        } else {
            as_path(path).to_owned()
        }
    }

    /// The root directory of process `pid`; of one that is gone, that of the first that was met: the kernel's.
    fn root_of(&self, pid: u32) -> PathBuf {
        let own = PathBuf::from(format!("/proc/{pid}/root"));
        let held = self.root.get().or_else(|| {
            let root = hold_root(pid)?;
            Some(self.root.get_or_init(|| root))
        });
        match held {
            Some(held) if rustix::fs::readlink(&own, Vec::new()).is_err() => held_path(held),
            _ => own,
        }
    }

    /// The link of this name, if it is one, and its file system answers.
    fn look(&self, pid: u32, path: &[u8]) -> Option<Found> {
        let host = self.host(pid, path);
        let found = files::symlink_metadata(&host).ok().filter(std::fs::Metadata::is_symlink)?;
        let text = std::fs::read_link(&host).ok()?.as_os_str().as_bytes().to_vec();
        Some(Found { text, new: born_since(&found, self.started) })
    }

    /// Follows the links of an absolute path as process `pid` names it; the last one only if `follow`.
    pub(super) fn walk(&self, pid: u32, path: &[u8], follow: bool) -> Walked {
        let mut walked = Walked::default();
        let at = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (dir, last) = (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default());
        if matches!(last, b"" | b"." | b"..") {
            self.steps(pid, Vec::new(), path, follow, &mut walked);
            return walked;
        }
        let known = self.lock().dirs.get(dir).cloned();
        let real = known.unwrap_or_else(|| {
            self.steps(pid, Vec::new(), dir, true, &mut walked);
            let mut state = self.lock();
            if state.dirs.len() >= MANY {
                state.dirs.clear();
            }
            // A directory behind a link of the session's is walked each time, so that who reads through it is known.
            if walked.made.is_empty() {
                state.dirs.insert(dir.to_vec(), walked.path.clone());
            }
            std::mem::take(&mut walked.path)
        });
        self.steps(pid, real, last, follow, &mut walked);
        walked
    }

    /// Walks on from `real`, a directory without links.
    fn steps(&self, pid: u32, real: Vec<u8>, path: &[u8], follow: bool, walked: &mut Walked) {
        let split = |text: &[u8]| text.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<VecDeque<_>>();
        let (mut left, mut here, mut links) = (split(path), real, 0);
        while let Some(name) = left.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    let parent = here.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    here.truncate(parent);
                    continue;
                }
                _ => {}
            }
            let at = [here.as_slice(), b"/", &name].concat();
            let is_last = left.iter().all(|name| name.is_empty());
            let stays = is_last && !follow || links == MOST_WALKED;
            let Some(link) = (!stays).then(|| self.look(pid, &at)).flatten() else {
                here = at;
                continue;
            };
            links += 1;
            if link.text.starts_with(b"/") {
                here.clear();
            }
            for name in split(&link.text).into_iter().rev() {
                left.push_front(name);
            }
            self.meet(at, link, walked);
        }
        walked.path = if here.is_empty() { b"/".to_vec() } else { here };
    }

    /// A link is walked, or is about to go.
    fn meet(&self, at: Vec<u8>, link: Found, walked: &mut Walked) {
        let mut state = self.lock();
        let told = state.told.contains(&at);
        if state.made.contains(&at) || link.new && !told {
            walked.made.push(at);
        } else if !told && !at.starts_with(b"/proc/") {
            state.told.insert(at.clone());
            let key = format!("{LINK}{:06}", state.told.len());
            walked.facts.push(Event::Fact { key, value: Link { path: at, target: link.text }.to_json() });
        }
    }

    /// The name is about to go, or another thing takes its place: if it is a link, what is to be written because of it.
    pub(super) fn before_change(&self, pid: u32, path: &[u8]) -> Option<Vec<Event>> {
        let link = self.look(pid, path)?;
        let mut walked = Walked::default();
        self.meet(path.to_vec(), link, &mut walked);
        Some(walked.facts)
    }

    /// Whether the session made this link, and none was there before.
    pub(super) fn is_new(&self, path: &[u8]) -> bool {
        !self.lock().told.contains(path)
    }

    /// Whether there is no other thing at `path` than a link with this text: then the call that asked for it made it.
    pub(super) fn says(&self, pid: u32, path: &[u8], text: &[u8]) -> bool {
        self.look(pid, path).map_or_else(|| !self.host(pid, path).exists(), |found| found.text == text)
    }

    /// A link was made, or renamed to this name.
    pub(super) fn made(&self, path: &[u8]) {
        let mut state = self.lock();
        state.dirs.clear();
        state.made.insert(path.to_vec());
    }

    /// Something was renamed or removed: directories may lie elsewhere now.
    pub(super) fn renamed(&self, pid: u32, old: &[u8], new: &[u8]) {
        let mut state = self.lock();
        state.dirs.clear();
        let was_ours = state.made.remove(old);
        drop(state);
        if was_ours || self.look(pid, new).is_some() {
            self.made(new);
        }
    }

    /// A name was removed.
    pub(super) fn removed(&self, path: &[u8]) {
        let mut state = self.lock();
        if state.made.remove(path) || state.told.contains(path) {
            state.dirs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn told(walked: &Walked) -> Vec<Link> {
        let link = |event: &Event| match event {
            Event::Fact { value, .. } => Link::from_json(value),
            _ => None,
        };
        walked.facts.iter().filter_map(link).collect()
    }

    #[test]
    fn links_are_followed_and_told_once_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let name = |name: &str| dir.join(name).as_os_str().as_bytes().to_vec();
        std::fs::create_dir_all(dir.join("v1/sub")).unwrap();
        std::fs::create_dir_all(dir.join("v2/sub")).unwrap();
        symlink("v1", dir.join("latest")).unwrap();
        symlink("../x.csv", dir.join("v1/sub/up")).unwrap();
        // As if the session began later: what is there now is older.
        let links = Links::new(false, Nanos::MAX);
        let walked = links.walk(1, &name("latest/sub/up"), true);
        assert_eq!(walked.path, name("v1/x.csv"));
        let link = |path: &str, target: &str| Link { path: name(path), target: target.into() };
        assert_eq!(told(&walked), [link("latest", "v1"), link("v1/sub/up", "../x.csv")]);
        let walked = links.walk(1, &name("latest/sub/up"), false);
        assert_eq!((walked.path, walked.facts), (name("v1/sub/up"), vec![]));
        // The session puts another one there.
        assert_eq!(links.before_change(1, &name("latest")), Some(vec![]));
        assert_eq!(links.before_change(1, &name("v2")), None);
        std::fs::remove_file(dir.join("latest")).unwrap();
        symlink("v2", dir.join("latest")).unwrap();
        links.made(&name("latest"));
        let walked = links.walk(1, &name("latest/sub/../y.csv"), true);
        assert_eq!((&walked.path, told(&walked)), (&name("v2/y.csv"), vec![]));
        // One of the session's own is none that was there.
        symlink("v2", dir.join("own")).unwrap();
        links.made(&name("own"));
        let walked = links.walk(1, &name("own/z.csv"), true);
        assert_eq!((walked.path, walked.facts, walked.made), (name("v2/z.csv"), vec![], vec![name("own")]));
        std::fs::rename(dir.join("own"), dir.join("other")).unwrap();
        links.renamed(1, &name("own"), &name("other"));
        assert_eq!(links.walk(1, &name("other/z.csv"), true).made, [name("other")]);
        assert!(links.is_new(&name("other")) && !links.is_new(&name("latest")));
    }

    #[test]
    fn circles_and_what_is_not_there_end() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let name = |name: &str| dir.join(name).as_os_str().as_bytes().to_vec();
        symlink("b", dir.join("a")).unwrap();
        symlink("a", dir.join("b")).unwrap();
        let links = Links::new(false, 0);
        assert!(links.walk(1, &name("a"), true).path.starts_with(&name("")));
        assert_eq!(links.walk(1, &name("none/x"), true).path, name("none/x"));
        assert_eq!(links.walk(1, b"/", true).path, b"/");
        assert_eq!(links.walk(1, b"/../..", true).path, b"/");
    }
}
