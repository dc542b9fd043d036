//! Kernelspecs: where Jupyter looks for them, and what one says (jupyter_client documentation, "Kernel specs").

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::files::{self, FileError};

/// How the manager interrupts the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptMode {
    /// SIGINT to the process group.
    Signal,
    /// `interrupt_request` on control.
    Message,
}

/// An installed kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Kernelspec {
    /// The directory's name, lower case.
    pub name: String,
    /// The command with `{connection_file}`, `{resource_dir}`, `{prefix}` in it.
    pub argv: Vec<String>,
    /// For a person.
    pub display_name: String,
    /// `python`, `R` …
    pub language: String,
    /// How it is interrupted.
    pub interrupt_mode: InterruptMode,
    /// Variables that are added to the environment.
    pub env: BTreeMap<String, String>,
    /// `metadata` as it is.
    pub metadata: Value,
    /// Where `kernel.json` and the logos lie.
    pub resource_dir: PathBuf,
    /// All of `kernel.json`.
    pub raw: Value,
}

/// A kernelspec that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelspecError {
    /// No directory has it.
    #[error("no kernelspec `{name}`; there are: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NotFound {
        /// What was looked for.
        name: String,
        /// What is there.
        known: Vec<String>,
    },
    /// Not a name that Jupyter allows.
    #[error("`{name}` is not a kernelspec name: letters, digits, `.`, `_` and `-` are allowed")]
    Name {
        /// What was given.
        name: String,
    },
    /// `kernel.json` cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// `kernel.json` is not JSON.
    #[error("`{}` is not a kernelspec", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// A key of `kernel.json` is missing or of another type.
    #[error("`{}`: `{key}` is not {expected}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is one of ours.
    #[error("kernelspec `{name}` is a recording kernel already")]
    Ours {
        /// Its name.
        name: String,
    },
    /// It runs somewhere else.
    #[error("kernelspec `{name}` is started by the provisioner `{provisioner}`, which does not run it on this machine")]
    NotLocal {
        /// Its name.
        name: String,
        /// The provisioner.
        provisioner: String,
    },
}

/// The directories that are searched, first hit wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchPath {
    /// Directories with one directory for each kernel.
    pub dirs: Vec<PathBuf>,
    /// The environment whose ipykernel fills a missing `python3`.
    pub prefix: Option<PathBuf>,
}

impl SearchPath {
    /// The order of `jupyter_core.paths.jupyter_path` and `KernelSpecManager`, with `prefix` as `sys.prefix`.
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>, prefix: Option<&Path>) -> Self {
        let var = |name: &str| env(name).filter(|value| !value.is_empty());
        let home = var("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let mut dirs: Vec<PathBuf> = Vec::new();
        if let Some(path) = var("JUPYTER_PATH") {
            dirs.extend(std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty()));
        }
        let data_home = var("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
        let user = [
            var("JUPYTER_DATA_DIR").map_or_else(|| data_home.join("jupyter"), PathBuf::from),
            var("PYTHONUSERBASE").map_or_else(|| home.join(".local"), PathBuf::from).join("share/jupyter"),
        ];
        let environment = prefix.map(|prefix| prefix.join("share/jupyter"));
        if prefers_environment(&var, prefix) {
            dirs.extend(environment);
            dirs.extend(user);
        } else {
            dirs.extend(user);
            dirs.extend(environment);
        }
        dirs.extend(["/usr/local/share/jupyter", "/usr/share/jupyter"].map(PathBuf::from));
        let mut kernels: Vec<PathBuf> = dirs.into_iter().map(|dir| dir.join("kernels")).collect();
        kernels.push(var("IPYTHONDIR").map_or_else(|| home.join(".ipython"), PathBuf::from).join("kernels"));
        Self { dirs: without_repeats(kernels), prefix: prefix.map(Path::to_owned) }
    }

    /// The same, with the kernels of `prefix` looked at before all others.
    #[must_use]
    pub fn preferring(mut self, prefix: &Path) -> Self {
        self.dirs.insert(0, prefix.join("share/jupyter/kernels"));
        self.dirs = without_repeats(self.dirs);
        self.prefix = Some(prefix.to_owned());
        self
    }
}

fn without_repeats(dirs: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut unique: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        if !unique.contains(&dir) {
            unique.push(dir);
        }
    }
    unique
}

/// Whether the environment's kernels come before the user's (`jupyter_core.paths.prefer_environment_over_user`).
fn prefers_environment(var: &dyn Fn(&str) -> Option<OsString>, prefix: Option<&Path>) -> bool {
    if let Some(value) = var("JUPYTER_PREFER_ENV_PATH") {
        return !["no", "n", "false", "off", "0", "0.0"].contains(&value.to_string_lossy().to_lowercase().as_str());
    }
    let Some(prefix) = prefix else { return false };
    let owned = std::fs::metadata(prefix).is_ok_and(|metadata| metadata.uid() == rustix::process::getuid().as_raw());
    let venv = prefix.join("pyvenv.cfg").exists();
    let conda = var("CONDA_PREFIX").is_some_and(|conda| prefix.starts_with(conda))
        && var("CONDA_DEFAULT_ENV").is_some_and(|name| name != "base");
    owned && (venv || conda)
}

/// The environment that stands for the server's `sys.prefix`: the active one, else that of `jupyter` on PATH.
pub fn guess_prefix(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let active =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env).map(PathBuf::from).find(|dir| dir.is_dir());
    active.or_else(|| {
        let path = env("PATH")?;
        let jupyter = std::env::split_paths(&path).map(|dir| dir.join("jupyter")).find(|file| file.is_file())?;
        // The script names its interpreter, also where a launcher directory is far from the environment.
        let script = files::read_bounded(&jupyter, 1 << 20).unwrap_or_default();
        let first = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let interpreter = std::str::from_utf8(first.strip_prefix(b"#!").unwrap_or_default()).unwrap_or_default();
        let interpreter = Path::new(interpreter.trim());
        let python = interpreter.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"));
        let program = if python { interpreter } else { jupyter.as_path() };
        Some(program.parent()?.parent()?.to_owned())
    })
}

/// The kernelspec with this name.
pub fn find(path: &SearchPath, name: &str) -> Result<Kernelspec, KernelspecError> {
    let name = name.to_lowercase();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(KernelspecError::Name { name: name.chars().take(100).collect() });
    }
    for dir in &path.dirs {
        if let Some(found) = named_in(dir, &name) {
            return read(&found);
        }
    }
    if name == "python3"
        && let Some(spec) = path.prefix.as_deref().and_then(native)
    {
        return Ok(spec);
    }
    Err(KernelspecError::NotFound { name, known: list(path) })
}

/// The names of all kernelspecs, sorted.
pub fn list(path: &SearchPath) -> Vec<String> {
    let mut names: std::collections::BTreeSet<String> = path
        .dirs
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("kernel.json").is_file())
        .filter_map(|entry| entry.file_name().to_str().map(str::to_lowercase))
        .collect();
    if path.prefix.as_deref().and_then(native).is_some() {
        names.insert("python3".to_owned());
    }
    names.into_iter().collect()
}

/// The directory in `dir` whose name is `name` but for capitals.
fn named_in(dir: &Path, name: &str) -> Option<PathBuf> {
    let exact = dir.join(name);
    if exact.join("kernel.json").is_file() {
        return Some(exact);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|found| found.to_lowercase() == name))
        .map(|entry| entry.path())
        .filter(|path| path.join("kernel.json").is_file())
        .collect();
    found.sort();
    found.into_iter().next()
}

/// ipykernel's own `python3` in an environment without kernelspecs.
fn native(prefix: &Path) -> Option<Kernelspec> {
    let python = ["bin/python", "bin/python3"].map(|name| prefix.join(name)).into_iter().find(|path| path.exists())?;
    let mut resources: Vec<PathBuf> = std::fs::read_dir(prefix.join("lib"))
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .flat_map(|entry| {
            ["site-packages", "dist-packages"].map(|dir| entry.path().join(dir).join("ipykernel/resources"))
        })
        .filter(|path| path.is_dir())
        .collect();
    resources.sort();
    let raw = serde_json::json!({
        "argv": [python.to_str()?, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "metadata": {"debugger": true},
    });
    parse(raw, resources.pop()?, Path::new("ipykernel"))
        .ok()
        .map(|spec| Kernelspec { name: "python3".to_owned(), ..spec })
}

/// The kernelspec in a directory with a `kernel.json`.
pub fn read(dir: &Path) -> Result<Kernelspec, KernelspecError> {
    let path = dir.join("kernel.json");
    let bytes = files::read_bounded(&path, 1 << 20)?;
    let raw =
        serde_json::from_slice(&bytes).map_err(|source| KernelspecError::NotJson { path: path.clone(), source })?;
    parse(raw, dir.to_owned(), &path)
}

fn parse(raw: Value, resource_dir: PathBuf, path: &Path) -> Result<Kernelspec, KernelspecError> {
    let wrong = |key, expected| KernelspecError::Key { path: path.to_owned(), key, expected };
    let argv: Option<Vec<String>> = raw
        .get("argv")
        .and_then(Value::as_array)
        .map(|args| args.iter().filter_map(|arg| arg.as_str().map(str::to_owned)).collect());
    let argv = argv.filter(|argv| !argv.is_empty()).ok_or_else(|| wrong("argv", "a list of texts"))?;
    let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    let interrupt_mode = match text("interrupt_mode").as_deref() {
        None | Some("signal") => InterruptMode::Signal,
        Some("message") => InterruptMode::Message,
        Some(_) => return Err(wrong("interrupt_mode", "`signal` or `message`")),
    };
    let env = raw.get("env").and_then(Value::as_object).map(|env| {
        env.iter().filter_map(|(key, value)| value.as_str().map(|value| (key.clone(), value.to_owned()))).collect()
    });
    let name = resource_dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    Ok(Kernelspec {
        display_name: text("display_name").unwrap_or_else(|| name.clone()),
        language: text("language").unwrap_or_default(),
        metadata: raw.get("metadata").cloned().unwrap_or_else(|| serde_json::json!({})),
        env: env.unwrap_or_default(),
        name,
        argv,
        interrupt_mode,
        resource_dir,
        raw,
    })
}

impl Kernelspec {
    /// Whether it starts a recording kernel.
    pub fn is_ours(&self) -> bool {
        matches!(self.argv.as_slice(), [_, verb, rest @ ..]
            if verb == "kernel" && rest.iter().any(|arg| arg == "--wrap" || arg == "--restored"))
    }

    /// Refuses what a proxy cannot stand before: ourselves, and kernels that run on another machine.
    pub fn check_wrappable(&self) -> Result<(), KernelspecError> {
        if self.is_ours() {
            return Err(KernelspecError::Ours { name: self.name.clone() });
        }
        match self.metadata.pointer("/kernel_provisioner/provisioner_name").and_then(Value::as_str) {
            None | Some("local-provisioner") => Ok(()),
            Some(other) => Err(KernelspecError::NotLocal { name: self.name.clone(), provisioner: other.to_owned() }),
        }
    }

    /// The environment it is installed in: `PREFIX` of `PREFIX/share/jupyter/kernels/NAME`.
    pub fn prefix(&self) -> Option<&Path> {
        let kernels = self.resource_dir.parent()?;
        if kernels.ends_with("share/jupyter/kernels") { kernels.ancestors().nth(3) } else { None }
    }

    /// Whether the program is a `python` without a directory, which means "the server's interpreter".
    pub fn has_bare_python(&self) -> bool {
        let version = self.argv.first().and_then(|program| program.strip_prefix("python"));
        version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    }

    /// The command with `{resource_dir}` and `{prefix}` replaced and a bare `python` made `python`.
    /// `{connection_file}` and unknown templates stay.
    pub fn command(&self, python: Option<&str>, prefix: Option<&str>) -> Vec<String> {
        let resource_dir = self.resource_dir.to_string_lossy();
        let mut argv: Vec<String> = self
            .argv
            .iter()
            .map(|arg| {
                let arg = arg.replace("{resource_dir}", &resource_dir);
                prefix.map_or_else(|| arg.clone(), |prefix| arg.replace("{prefix}", prefix))
            })
            .collect();
        if let (true, Some(python), Some(program)) = (self.has_bare_python(), python, argv.first_mut()) {
            python.clone_into(program);
        }
        argv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, name: &str, json: &str) {
        std::fs::create_dir_all(dir.join("share/jupyter/kernels").join(name)).unwrap();
        std::fs::write(dir.join("share/jupyter/kernels").join(name).join("kernel.json"), json).unwrap();
    }

    const PYTHON: &str = r#"{"argv":["python3","-m","k","-f","{connection_file}","{resource_dir}","{x}"],
        "display_name":"Python 3 (ipykernel)","language":"python","env":{"A":"1"}}"#;

    fn search(home: &Path, prefix: Option<&Path>, more: &[(&str, &str)]) -> SearchPath {
        let env = |name: &str| {
            let more = more.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            more.or_else(|| (name == "HOME").then(|| home.as_os_str().to_owned()))
        };
        SearchPath::from_env(&env, prefix)
    }

    #[test]
    fn directories_come_in_jupyters_order() {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path();
        let order = |more: &[(&str, &str)]| {
            let path = search(Path::new("/home/u"), Some(prefix), more);
            let show = |dir: &PathBuf| dir.to_str().unwrap().replace(prefix.to_str().unwrap(), "PREFIX");
            path.dirs.iter().map(show).collect::<Vec<_>>().join(" ")
        };
        let user = "/home/u/.local/share/jupyter/kernels";
        let rest = "/usr/local/share/jupyter/kernels /usr/share/jupyter/kernels /home/u/.ipython/kernels";
        assert_eq!(order(&[]), format!("{user} PREFIX/share/jupyter/kernels {rest}"));
        assert_eq!(
            order(&[("JUPYTER_PATH", "/one:/two"), ("JUPYTER_PREFER_ENV_PATH", "1")]),
            format!("/one/kernels /two/kernels PREFIX/share/jupyter/kernels {user} {rest}")
        );
        std::fs::write(prefix.join("pyvenv.cfg"), "").unwrap();
        assert_eq!(order(&[]), format!("PREFIX/share/jupyter/kernels {user} {rest}"));
    }

    #[test]
    fn the_first_hit_wins_and_capitals_do_not_matter() {
        let (home, prefix) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(&home.path().join(".local"), "MyKernel", PYTHON);
        put(prefix.path(), "mykernel", &PYTHON.replace("ipykernel", "other"));
        let path = search(home.path(), Some(prefix.path()), &[]);
        assert_eq!(find(&path, "mykernel").unwrap().display_name, "Python 3 (ipykernel)");
        assert_eq!(find(&path.preferring(prefix.path()), "MYKERNEL").unwrap().display_name, "Python 3 (other)");
    }

    #[test]
    fn a_missing_one_is_said_with_what_there_is() {
        let home = tempfile::tempdir().unwrap();
        put(&home.path().join(".local"), "ir", PYTHON);
        let mut path = search(home.path(), None, &[]);
        path.dirs.truncate(1);
        assert_eq!(find(&path, "julia").unwrap_err().to_string(), "no kernelspec `julia`; there are: ir");
        assert!(matches!(find(&path, "../ir"), Err(KernelspecError::Name { .. })));
    }

    #[test]
    fn ipykernel_without_a_kernelspec_is_python3() {
        let prefix = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(prefix.path().join("lib/python3.11/site-packages/ipykernel/resources")).unwrap();
        std::fs::create_dir_all(prefix.path().join("bin")).unwrap();
        std::fs::write(prefix.path().join("bin/python"), "").unwrap();
        let mut path = search(prefix.path(), Some(prefix.path()), &[]);
        path.dirs.clear();
        assert_eq!(find(&path, "python3").unwrap().argv[2], "ipykernel_launcher");
        assert_eq!(list(&path), ["python3"]);
    }

    #[test]
    fn templates_and_a_bare_python_are_replaced_and_unknown_ones_stay() {
        let spec = parse(serde_json::from_str(PYTHON).unwrap(), PathBuf::from("/k/py"), Path::new("x")).unwrap();
        let argv = spec.command(Some("/v/bin/python"), Some("/v"));
        assert_eq!(argv, ["/v/bin/python", "-m", "k", "-f", "{connection_file}", "/k/py", "{x}"]);
        let absolute = Kernelspec { argv: vec!["/usr/bin/python3".to_owned()], ..spec };
        assert_eq!(absolute.command(Some("/v/bin/python"), None), ["/usr/bin/python3"]);
    }

    #[test]
    fn the_servers_environment_is_the_active_one_or_that_of_jupyters_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let guess = |active: Option<&Path>| {
            guess_prefix(&|name| match name {
                "PATH" => Some(bin.clone().into()),
                "VIRTUAL_ENV" => active.map(|dir| dir.as_os_str().to_owned()),
                _ => None,
            })
        };
        assert_eq!(guess(None), None);
        assert_eq!(guess(Some(&bin)), Some(bin.clone()));
        assert_eq!(guess(Some(Path::new("/no such environment"))), None);
        std::fs::write(bin.join("jupyter"), "#!/bin/sh\n").unwrap();
        assert_eq!(guess(None).as_deref(), Some(dir.path()));
        std::fs::write(bin.join("jupyter"), "#!/else where/bin/python3.12\n").unwrap();
        assert_eq!(guess(None).as_deref(), Some(Path::new("/else where")));
    }

    #[test]
    fn ourselves_and_remote_kernels_are_refused() {
        let spec = |json: Value| parse(json, PathBuf::from("/k/py"), Path::new("x")).unwrap().check_wrappable();
        assert!(spec(serde_json::from_str(PYTHON).unwrap()).is_ok());
        let ours = serde_json::json!({"argv": ["/x/nbpack", "kernel", "-f", "{connection_file}", "--wrap", "python3"]});
        assert!(matches!(spec(ours), Err(KernelspecError::Ours { .. })));
        let remote =
            serde_json::json!({"argv": ["a"], "metadata": {"kernel_provisioner": {"provisioner_name": "k8s"}}});
        assert!(matches!(spec(remote), Err(KernelspecError::NotLocal { .. })));
    }

    #[test]
    fn broken_specs_are_named() {
        for json in ["{}", r#"{"argv":[]}"#, r#"{"argv":"x"}"#, r#"{"argv":["a"],"interrupt_mode":"x"}"#] {
            let error = parse(serde_json::from_str(json).unwrap(), PathBuf::from("/k"), Path::new("/k/kernel.json"));
            assert!(error.unwrap_err().to_string().starts_with("`/k/kernel.json`: `"), "{json}");
        }
    }
}
