//! How to run the recorded kernel in the image.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    environment::find_program,
    model::{EnvironmentRoot, Inventory},
    paths,
};
use crate::{
    digest::Digest,
    session::model::{Recording, Use},
};

/// How to run the recorded kernel in the image. Everything here is a path *in the image*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunConfig {
    /// The bundle's name: the notebook's file name without suffix, in `[a-z0-9._-]+`.
    pub name: String,
    /// `amd64`, `arm64` as OCI spells them.
    pub architecture: String,
    /// The kernel's argv, `{connection_file}` in it.
    pub argv: Vec<String>,
    /// The wrapped kernelspec's name, display name, language, interrupt mode and debugger flag.
    pub kernel: String,
    /// Display name.
    pub display_name: String,
    /// Language.
    pub language: String,
    /// `signal` or `message`.
    pub interrupt_mode: String,
    /// `metadata.debugger` of the kernelspec.
    pub debugger: bool,
    /// Environment of the kernel: the recorded values that may leave.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// User name in the image.
    pub user: String,
    /// Recorded user id.
    pub uid: u32,
    /// Recorded group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Recorded host name.
    pub host: String,
    /// The notebook's path, where there is one.
    pub notebook: Option<PathBuf>,
    /// Environments with canonical roots.
    pub roots: Vec<EnvironmentRoot>,
    /// `full`, … as recorded.
    pub coverage: String,
    /// CPU flags and the like that are compared before the first cell (`record::facts` names).
    pub machine: BTreeMap<String, serde_json::Value>,
    /// The session's id.
    pub session: String,
    /// The bundle this session's kernel was restored from.
    pub parent: Option<Digest>,
    /// The image's default command after `nbpack`: `lab`, or what `export --app` set.
    pub command: Vec<String>,
    /// `nbpack lab` has a Jupyter to start.
    pub has_jupyter: bool,
    /// Directories of the image that the session renamed: an overlay cannot rename what lies in its lower layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<PathBuf>,
}

/// Facts that are compared with the machine of a replay before its first cell.
const MACHINE: &[&str] = &["cpu", "gpu", "memory", "limits", "os", "kernel", "libc", "blas", "threads"];

/// What the image says about how to run it: all from the recording and the inventory.
pub fn run_config(recording: &Recording, inventory: &Inventory) -> RunConfig {
    let info = &recording.info;
    let env: BTreeMap<String, String> =
        recording.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    let mut argv = info.argv.clone();
    if let Some(program) = argv.first_mut()
        && let Some(found) = find_program(program.as_bytes(), env.get("PATH").map_or("", String::as_str))
    {
        *program = String::from_utf8_lossy(&found).into_owned();
    }
    let has = |name: &str| {
        inventory
            .components
            .iter()
            .any(|component| component.name == name && matches!(component.kind.as_str(), "pypi" | "conda"))
    };
    let debugger = recording
        .facts
        .get("kernelspec.metadata")
        .and_then(|metadata| metadata.get("debugger")?.as_bool())
        .unwrap_or_else(|| info.language == "python" && has("debugpy"));
    RunConfig {
        name: bundle_name(info.notebook.as_deref().map(|path| paths::name(paths::bytes(path))).unwrap_or_default()),
        architecture: architecture().to_owned(),
        argv,
        kernel: info.kernel.clone(),
        display_name: info.display_name.clone(),
        language: info.language.clone(),
        interrupt_mode: info.interrupt_mode.clone(),
        debugger,
        env,
        cwd: info.cwd.clone(),
        user: info.user.clone(),
        uid: info.uid,
        gid: info.gid,
        home: info.home.clone(),
        host: info.host.clone(),
        notebook: info.notebook.clone(),
        roots: inventory.roots.clone(),
        coverage: info.coverage.clone(),
        machine: machine(recording),
        session: info.id.to_string(),
        parent: info.parent,
        command: vec!["lab".to_owned()],
        has_jupyter: has("jupyterlab") || has("notebook"),
        renamed: renamed(recording),
    }
}

/// The directories older than the session that it renamed, by their first names.
fn renamed(recording: &Recording) -> Vec<PathBuf> {
    let of = recording.files.iter().filter(|file| file.usage == Use::RenameDirectory);
    let mut paths: Vec<PathBuf> = of.map(|file| paths::as_path(&file.path).to_owned()).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The facts of the recording machine that a replay compares.
fn machine(recording: &Recording) -> BTreeMap<String, serde_json::Value> {
    let compared = |name: &str| MACHINE.contains(&name.split('.').next().unwrap_or_default());
    recording
        .facts
        .iter()
        .filter(|(name, _)| compared(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What the image of a restored kernel's session says: as its parent, but for what is this session's own.
pub fn child_run_config(recording: &Recording, parent: &RunConfig) -> RunConfig {
    let info = &recording.info;
    let notebook = super::child::notebook_path(recording, parent);
    let name = notebook.as_deref().map(|path| bundle_name(paths::name(paths::bytes(path))));
    RunConfig {
        name: name.unwrap_or_else(|| parent.name.clone()),
        env: recording.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
        cwd: info.cwd.clone(),
        notebook: notebook.or_else(|| parent.notebook.clone()),
        coverage: info.coverage.clone(),
        machine: machine(recording),
        session: info.id.to_string(),
        parent: info.parent,
        command: vec!["lab".to_owned()],
        renamed: parent.renamed.iter().cloned().chain(renamed(recording)).collect(),
        ..parent.clone()
    }
}

/// As OCI spells it (image-spec, "platform").
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Letters that people write for this one where they have only ASCII; itself when there are none.
fn in_ascii(c: char) -> impl Iterator<Item = char> {
    let letters = match c {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'ß' => "ss",
        'þ' => "th",
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' | 'ĉ' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' | 'ė' => "e",
        'ğ' | 'ģ' | 'ĝ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' | 'į' => "i",
        'ł' | 'ľ' | 'ļ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ő' => "o",
        'ř' | 'ŕ' => "r",
        'ś' | 'š' | 'ş' | 'ș' | 'ŝ' => "s",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    };
    // Marks of a name that was written apart (macOS) carry nothing alone.
    let mark = matches!(c, '\u{300}'..='\u{36f}');
    letters.chars().chain((letters.is_empty() && !mark).then_some(c))
}

/// A file name without `.ipynb`, in `[a-z0-9._-]+`, beginning with a letter or digit.
fn bundle_name(file: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(file).to_lowercase().chars().flat_map(in_ascii).collect();
    let stem = text.strip_suffix(".ipynb").unwrap_or(&text);
    let mut name = String::new();
    for c in stem.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        // A separator neither begins a name nor follows another (OCI distribution-spec, "name").
        if c.is_ascii_alphanumeric() || name.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            name.push(c);
        }
    }
    let name = name.trim_end_matches(['.', '_', '-']);
    if name.is_empty() { "session".to_owned() } else { name.chars().take(100).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_named_after_its_notebook() {
        assert_eq!(bundle_name(b"My Analysis (2).ipynb"), "my-analysis-2");
        assert_eq!(bundle_name("größe.ipynb".as_bytes()), "groesse");
        assert_eq!(bundle_name("Café Zürich – Łódź.ipynb".as_bytes()), "cafe-zuerich-lodz");
        assert_eq!(bundle_name("cafe\u{301}.ipynb".as_bytes()), "cafe");
        assert_eq!(bundle_name(b"..ipynb"), "session");
        assert_eq!(bundle_name(b""), "session");
    }
}
