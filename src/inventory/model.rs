//! The inventory as values: what `bundle` packs.
//!
//! Paths are those *in the image*: absolute, every component resolved (no entry has a symlink as ancestor), below the
//! canonical root where they belong to an environment. Bytes, not UTF-8.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, files::Signature};

/// What a file is to the session. One class per file; the rule that gave it is in [`Entry::rule`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The interpreter's executables and shared libraries.
    Interpreter,
    /// Its standard library.
    StandardLibrary,
    /// A file of a Python distribution, conda or R package.
    Distribution,
    /// Written by an installer into an environment: scripts, RECORD, pyvenv.cfg.
    Environment,
    /// A native library that no package owns.
    NativeLibrary,
    /// A file of a system package (dpkg, rpm, apk).
    SystemPackage,
    /// Made for the image: passwd, hosts, empty directories.
    SystemState,
    /// Source that the user wrote.
    LocalModule,
    /// An input.
    Dataset,
    /// Read configuration.
    Configuration,
    /// A cache that a library filled and the session read.
    Cache,
    /// The notebook file.
    Notebook,
    /// Written, then read: not in.
    Intermediate,
    /// Written: not in (digest only) unless asked for.
    Result,
    /// Under a temporary directory and made by the session: not in.
    Temporary,
    /// `/proc`, `/dev`, `/sys`, sockets: never in.
    PseudoFile,
    /// Keys, tokens, histories: never in.
    Private,
    /// A directory that was listed: names only.
    Listing,
}

/// Everything the image is made of, and what was left out.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Environments: canonical roots and the links from their original prefixes.
    pub roots: Vec<EnvironmentRoot>,
    /// By path in the image (no leading slash, no trailing slash, `/` separated).
    pub entries: BTreeMap<Vec<u8>, Entry>,
    /// Distributions, packages, interpreters: what [`Entry::component`] points into.
    pub components: Vec<Component>,
    /// Files that the session used and that are not in, with the reason.
    pub left_out: Vec<LeftOut>,
    /// For a person: what this inventory cannot promise.
    pub warnings: Vec<String>,
}

/// An environment (virtual environment, conda environment, interpreter outside `/usr`, R library).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvironmentRoot {
    /// Role number; 0 is the kernel's environment.
    pub role: u32,
    /// `venv`, `conda`, `interpreter`, `site-packages`, `r-library`.
    pub kind: String,
    /// Original prefix, as resolved on the recording machine.
    pub prefix: PathBuf,
    /// `/opt/nbpack/env/<role>`.
    pub canonical: PathBuf,
}

/// One entry of the image.
#[derive(Clone, Debug)]
pub struct Entry {
    /// File, directory or symlink.
    pub kind: EntryKind,
    /// What it is to the session.
    pub class: Class,
    /// The rule that said so, by name.
    pub rule: &'static str,
    /// Index into [`Inventory::components`].
    pub component: Option<usize>,
    /// The path on the recording machine, where it differs from the path in the image.
    pub original: Option<Vec<u8>>,
    /// The session touched it itself (not only its package).
    pub touched: bool,
    /// It goes into a layer of its own, beside what the session touched (`export --trim`).
    pub apart: bool,
}

/// What kind of entry, and where its content comes from.
#[derive(Clone, Debug)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A directory that was listed but not read: mode 0000 entries lie in it (`Class::Listing`).
    Placeholder,
    /// A symbolic link with its target text (already rewritten where it pointed into an environment).
    Symlink {
        /// The text.
        target: Vec<u8>,
    },
    /// A regular file.
    File {
        /// Where the bytes are.
        source: Source,
        /// Their number.
        size: u64,
        /// The owner may execute it.
        executable: bool,
        /// Seconds since the epoch; `None` is the constant of environments and system files.
        mtime: Option<i64>,
    },
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file on this machine; it must still have this signature when it is read.
    Host {
        /// Its path.
        path: PathBuf,
        /// As when the inventory was made.
        signature: Signature,
    },
    /// A blob in the store, or a preserved file that hashes to it.
    Blob(Digest),
    /// Made by us.
    Bytes(Arc<[u8]>),
    /// A `.pyc` on this machine, to be normalised: header mtime := the clamp constant, `co_filename` := `filename`.
    Bytecode {
        /// Its path.
        path: PathBuf,
        /// As when the inventory was made.
        signature: Signature,
        /// The source's path in the image (canonical), for `co_filename`.
        filename: Vec<u8>,
    },
}

/// Something with a name and a version that owns files.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Component {
    /// `pypi`, `conda`, `cran`, `deb`, `rpm`, `apk`, `generic` (purl types).
    pub kind: String,
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Licence expression or text, as the package says it.
    pub licence: Option<String>,
    /// `pip`, `uv`, `conda`, …
    pub installer: Option<String>,
    /// VCS commit or local path of an editable or direct-URL installation.
    pub direct_url: Option<serde_json::Value>,
    /// Loaded in this session (a file of it was read or mapped).
    pub loaded: bool,
    /// It came only because another needs it.
    pub dependency: bool,
    /// Files whose bytes differ from the package's own record.
    pub modified: Vec<String>,
    /// Architecture, for system packages.
    pub arch: Option<String>,
    /// Somebody asked for it by name (pip's and uv's REQUESTED); `None` where no installer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<bool>,
    /// What the project asks for, as a requirements file beside the notebook words it (`numpy>=2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// Normalised names of what it needs, extras left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// SHA-256 over the sorted paths and hashes of its RECORD, without what installers write: equal for two
    /// installations of one wheel, whoever installed it where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Digest>,
    /// Software lists that it brings itself (PEP 770, `.dist-info/sboms/*.json`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sboms: Vec<serde_json::Value>,
    /// Of an editable installation whose source is a git work tree: what is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<String>,
}

impl Component {
    /// Package URL (purl specification).
    pub fn purl(&self) -> String {
        let namespace = match self.kind.as_str() {
            "deb" => "debian/",
            "alpm" => "arch/",
            _ => "",
        };
        let arch = self.arch.as_ref().map(|arch| format!("?arch={}", escaped(arch))).unwrap_or_default();
        format!("pkg:{}/{namespace}{}@{}{arch}", self.kind, escaped(&self.name), escaped(&self.version))
    }
}

/// Percent-encoding as the purl specification has it: letters, digits and `.-_~` stay, and `:`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A file the session used that does not go in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftOut {
    /// The path on the recording machine.
    pub path: Vec<u8>,
    /// Its class.
    pub class: Class,
    /// The rule.
    pub rule: String,
    /// For a person: why it is not in.
    pub why: String,
}
