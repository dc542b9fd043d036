//! What a container of a restored bundle is to be.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    RestoreError, fresh_id,
    machine::{self, Machine},
    model::Restored,
};
use crate::{
    container::{
        self, Cleanup, RunError,
        spec::{Bind, Spec},
    },
    event::Launch,
    files::{self, FileError},
    store::Store,
};

/// Where the kernel's sockets and connection file are seen inside.
pub const INNER_DIR: &str = container::spec::OWN_DIR;

/// Where programs are looked for when the record does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a run may change of the recorded conditions.
#[derive(Clone, Default, Debug)]
pub struct SpecOptions {
    /// Host files and directories shown inside.
    pub binds: Vec<Bind>,
    /// Directories laid over the bundle's layers, lowest first, with whiteouts for what they take away.
    pub over: Vec<PathBuf>,
    /// The host's network.
    pub network: bool,
    /// Over the recorded environment.
    pub env: BTreeMap<String, String>,
    /// Instead of the recorded working directory.
    pub cwd: Option<PathBuf>,
    /// Put the environment's own programs first in `PATH`: for commands that a person types.
    pub environment_first: bool,
    /// Keep what the run wrote, in its run directory.
    pub keep_upper: bool,
    /// Where there is no other way: below another path, and without isolation.
    pub inexact: bool,
    /// The process id of what is run, where Linux lets it be chosen.
    pub first_pid: Option<u32>,
}

/// What to run, in the root of `restored`, as the recorded user with the recorded environment.
pub fn spec(restored: &Restored, store: &Store, argv: Vec<String>, options: SpecOptions) -> Result<Spec, RestoreError> {
    let run = &restored.run;
    let mut env = run.env.clone();
    let fill = |env: &mut BTreeMap<String, String>, name: &str, value: &str| {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    };
    fill(&mut env, "PATH", DEFAULT_PATH);
    fill(&mut env, "HOME", &run.home.to_string_lossy());
    if options.environment_first {
        // A shell that a person types in has them; a kernel that a service started has not.
        fill(&mut env, "USER", &run.user);
        fill(&mut env, "LOGNAME", &run.user);
    }
    if let (true, Some(bin)) = (options.environment_first, environment_bin(restored)) {
        let path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        let first = format!("{}:{path}", bin.display());
        env.insert("PATH".to_owned(), first);
    }
    for (name, value) in machine::pins(&Machine::recorded(run), &Machine::here()) {
        fill(&mut env, name, &value);
    }
    env.extend(options.env);
    files::create_private_dir(&store.run())?;
    let layers = restored.layers.iter().map(|layer| store.layer_path(layer).join("root")).chain(options.over).collect();
    // The outer environment first: a link below its prefix is only there once its own is replaced.
    let mut exact_roots: Vec<(PathBuf, PathBuf)> =
        run.roots.iter().map(|root| (root.prefix.clone(), root.canonical.clone())).collect();
    exact_roots.sort_by_key(|(prefix, _)| prefix.components().count());
    Ok(Spec {
        layers,
        run_dir: store.run().join(fresh_id()?),
        keep_upper: options.keep_upper,
        uid: run.uid,
        gid: run.gid,
        hostname: host_name(&run.host),
        env,
        cwd: options.cwd.unwrap_or_else(|| run.cwd.clone()),
        argv,
        binds: options.binds,
        network: options.network,
        exact_roots,
        movable: run.renamed.clone(),
        first_pid: options.first_pid,
        inexact: options.inexact,
        machine: false,
    })
}

/// Linux takes at most 64 bytes, and a hostile record may say anything.
fn host_name(recorded: &str) -> String {
    let name: String = recorded.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).take(64).collect();
    if name.is_empty() { "nbpack".to_owned() } else { name }
}

/// The directory of the kernel's environment that holds its `python` (or `Rscript`, …).
pub fn environment_bin(restored: &Restored) -> Option<PathBuf> {
    let run = &restored.run;
    let program = run.argv.first().map(Path::new).filter(|program| program.is_absolute());
    let own = run.roots.iter().find(|root| root.role == 0 && root.kind != "site-packages");
    program.and_then(Path::parent).map(Path::to_owned).or_else(|| own.map(|root| root.prefix.join("bin")))
}

/// What the recorder needs to run the restored kernel.
///
/// `argv`, `env` and `cwd` are paths and values *inside*; once `{connection_file}` is replaced, [`KernelSetup::contain`]
/// turns them into the command that is started on this machine.
#[derive(Clone, Debug)]
pub struct KernelSetup {
    /// The kernel's argv with `{connection_file}` in it.
    pub argv: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Where the directory of its sockets is seen inside.
    pub inner_dir_inside: PathBuf,
    store: Store,
    restored: Restored,
    options: SpecOptions,
}

/// How to run the kernel of `restored`.
pub fn kernel_setup(restored: &Restored, store: &Store, options: SpecOptions) -> Result<KernelSetup, RestoreError> {
    let spec = spec(restored, store, restored.run.argv.clone(), options.clone())?;
    Ok(KernelSetup {
        argv: spec.argv.into_iter().map(OsString::from).collect(),
        env: spec.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        cwd: spec.cwd,
        inner_dir_inside: PathBuf::from(INNER_DIR),
        store: store.clone(),
        restored: restored.clone(),
        options,
    })
}

impl KernelSetup {
    /// Turns a launch in the terms of the inside into one of this machine: the container's outer process, with
    /// `inner_dir` (where the proxy put the connection file and the sockets go) shown at [`INNER_DIR`].
    ///
    /// The guard must live until the kernel was started.
    pub fn contain(&self, launch: Launch, inner_dir: &Path, program: &Path) -> Result<(Launch, Cleanup), RunError> {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let mut options = SpecOptions { cwd: Some(launch.cwd), ..self.options.clone() };
        options.binds.push(Bind { host: inner_dir.to_owned(), target: PathBuf::from(INNER_DIR), read_only: false });
        let argv = launch.argv.into_iter().map(text).collect();
        let mut spec = spec(&self.restored, &self.store, argv, options).map_err(|error| match error {
            RestoreError::File(error) => RunError::File(error),
            other => RunError::File(FileError {
                action: "make",
                path: self.store.run(),
                source: std::io::Error::other(other),
            }),
        })?;
        spec.env = launch.env.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        let prepared = container::prepare(&spec, program)?;
        Ok((Launch { argv: prepared.argv, env: prepared.env, cwd: PathBuf::from("/") }, prepared.cleanup))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_a_person_types_have_a_user_that_the_recording_had_not() {
        let run = crate::bundle::tests::run_config();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s")).unwrap();
        let restored = Restored {
            name: run.name.clone(),
            manifest: crate::digest::Digest::of(b""),
            layers: Vec::new(),
            run,
            restored: 0,
            kernelspecs: Vec::new(),
            notebook: None,
            engines: Vec::new(),
        };
        let user = |environment_first: bool| {
            let options = SpecOptions { environment_first, ..SpecOptions::default() };
            let spec = spec(&restored, &store, vec!["true".to_owned()], options).unwrap();
            spec.env.get("USER").cloned()
        };
        assert_eq!(user(false), None);
        assert_eq!(user(true), Some(restored.run.user.clone()));
    }

    #[test]
    fn a_recorded_host_name_is_one_that_linux_takes() {
        assert_eq!(host_name("lab-3.example"), "lab-3.example");
        assert_eq!(host_name("\u{1b}[31m"), "31m");
        assert_eq!(host_name("…"), "nbpack");
        assert_eq!(host_name(&"x".repeat(100)).len(), 64);
    }
}
