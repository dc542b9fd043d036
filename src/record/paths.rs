//! Textual rules about paths: cheap enough for every open. What a file *is* decides `inventory`.

use std::{
    borrow::Cow,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use memchr::memmem::Finder;

pub(super) use crate::files::as_path;

/// A path that several tables have: a session can read a hundred thousand files.
pub(super) type SharedPath = Arc<[u8]>;

/// Which files are none of the session's data, told by their paths alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// `bin`, `lib` … below the interpreter's prefixes.
    environments: Vec<Vec<u8>>,
    /// nbpack's own directories: not even recorded.
    own: Vec<Vec<u8>>,
}

/// `/dev/shm` is none of them.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/proc",
    "/sys",
    "/dev",
    "/etc",
    "/run",
    "/var/lib",
    "/var/cache",
    "/boot",
    "/opt/nbpack",
    "/snap",
    "/nix/store",
    "/gnu/store",
];
const INSTALLED: &[&str] = &["bin", "lib", "lib64", "libexec", "include", "share", "etc", "conda-meta", "pkgs", "ssl"];
const INSTALLED_PARTS: &[&[u8]] = &[b"/site-packages/", b"/dist-packages/", b"/__pycache__/", b"/lib/python3."];
/// Never hashed, copied or preserved: `secrets` has the full table for what leaves.
const PRIVATE_PARTS: &[&[u8]] = &[
    b"/.ssh/",
    b"/.gnupg/",
    b"/.aws/",
    b"/.kube/",
    b"/.netrc",
    b"/.pgpass",
    b"history.sqlite",
    b"_history",
    b"/.local/share/keyrings/",
    b"/.mozilla/",
    b"/.jupyter/",
    b"/.ipython/profile_",
];

impl Known {
    /// `argv0` is the wrapped kernel's executable; `own` are directories of nbpack itself.
    pub(super) fn new(argv0: Option<&Path>, own: Vec<PathBuf>) -> Self {
        let mut environments = Vec::new();
        let resolved = argv0.and_then(|path| std::fs::canonicalize(path).ok());
        // A virtual environment names the interpreter it was made from.
        let home = argv0.and_then(Path::parent).and_then(Path::parent).and_then(|prefix| {
            let config = crate::files::read_bounded(&prefix.join("pyvenv.cfg"), 64 << 10).ok()?;
            let config = String::from_utf8_lossy(&config).into_owned();
            let home = config.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "home"))?.1;
            Some(Path::new(home.trim()).join("python"))
        });
        let home_resolved = home.as_ref().and_then(|path| std::fs::canonicalize(path).ok());
        for executable in [argv0.map(Path::to_owned), resolved, home, home_resolved].into_iter().flatten() {
            if let Some(prefix) = executable.parent().and_then(Path::parent).filter(|prefix| *prefix != Path::new("/"))
            {
                environments.extend(INSTALLED.iter().map(|name| prefix.join(name)));
            }
        }
        environments.sort_unstable();
        environments.dedup();
        let bytes = |dirs: Vec<PathBuf>| {
            dirs.iter().map(|dir| fold(dir.as_os_str().as_bytes(), |_| false).into_owned()).collect()
        };
        Self { environments: bytes(environments), own: bytes(own) }
    }

    /// A file of nbpack itself.
    pub(super) fn is_own(&self, path: &[u8]) -> bool {
        self.own.iter().any(|dir| is_below(path, dir))
    }

    /// Could be an input or a result: no library, no system file, nothing private.
    pub(super) fn is_data(&self, path: &[u8]) -> bool {
        // The most frequent first.
        !(path.ends_with(b".pyc")
            || (SYSTEM.iter().any(|dir| is_below(path, dir.as_bytes())) && !is_below(path, b"/dev/shm"))
            || self.environments.iter().any(|dir| is_below(path, dir))
            // Semaphores (of joblib, multiprocessing) are no content.
            || path.starts_with(b"/dev/shm/sem.")
            || path.ends_with(b"/pyvenv.cfg")
            || PARTS.iter().any(|part| part.find(path).is_some()))
    }
}

/// [`INSTALLED_PARTS`] and [`PRIVATE_PARTS`], ready to be looked for: it is done for every open.
static PARTS: LazyLock<Vec<Finder<'static>>> =
    LazyLock::new(|| INSTALLED_PARTS.iter().chain(PRIVATE_PARTS).map(|part| Finder::new(*part)).collect());

/// Whether a folded path is `dir` or lies in it.
fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Folds `//` and `.`, and `..` after a component that `is_real_dir` says is no symlink.
pub(super) fn fold(path: &[u8], is_real_dir: impl Fn(&Path) -> bool) -> Cow<'_, [u8]> {
    let plain =
        !path.windows(2).any(|pair| matches!(pair, b"//" | b"/.")) && (path.len() == 1 || !path.ends_with(b"/"));
    if plain {
        return Cow::Borrowed(path);
    }
    let mut folded: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if folded.is_empty() => {}
            b".." if is_real_dir(as_path(&folded)) => {
                let parent = folded.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                folded.truncate(parent);
            }
            part => {
                folded.push(b'/');
                folded.extend(part);
            }
        }
    }
    if folded.is_empty() { Cow::Borrowed(b"/") } else { Cow::Owned(folded) }
}

/// A directory that is not reached through a symlink at its last component.
pub(super) fn is_real_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fold_only_where_no_symlink_can_make_a_difference() {
        let real = |path: &Path| !path.ends_with("link");
        for (path, folded) in [
            ("/a/b", "/a/b"),
            ("//a/./b/", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/link/../b", "/a/link/../b"),
            ("/../..", "/"),
            ("/a/.hidden", "/a/.hidden"),
            ("/", "/"),
        ] {
            assert_eq!(String::from_utf8(fold(path.as_bytes(), real).into_owned()).unwrap(), folded, "{path}");
        }
    }

    #[test]
    fn libraries_system_and_private_files_are_no_data() {
        let known = Known::new(Some(Path::new("/work/venv/bin/python")), vec!["/store".into()]);
        for path in ["/work/data.csv", "/work/venv/data.csv", "/dev/shm/x", "/home/u/.cache/hub/model.bin"] {
            assert!(known.is_data(path.as_bytes()), "{path}");
        }
        for path in [
            "/work/venv/lib/python3.11/os.py",
            "/usr/lib/x",
            "/home/u/x/site-packages/a.json",
            "/w/__pycache__/a.pyc",
            "/home/u/.ssh/id_rsa",
            "/home/u/.ipython/profile_default/history.sqlite",
            "/proc/self/maps",
        ] {
            assert!(!known.is_data(path.as_bytes()), "{path}");
        }
        assert!(known.is_own(b"/store/blobs/x"));
    }
}
