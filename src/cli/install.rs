//! `nbpack install`.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Map, Value, json};

use super::{Context, failure::Failure, labextension};
use crate::files::{self, FileError};
use crate::jupyter::kernelspec::{self, Kernelspec, KernelspecError, SearchPath};

const TEMPLATE: &str = include_str!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/kernel.json");
const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-svg.svg", include_bytes!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/logo-svg.svg")),
    ("logo-32x32.png", include_bytes!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/logo-64x64.png")),
];

/// Add a recording kernel beside one that is there, for Jupyter's launcher
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The kernel that is to be recorded
    #[arg(long, value_name = "NAME", default_value = "python3")]
    kernel: String,
    #[command(flatten)]
    place: Place,
    /// Name of the new kernelspec [default: KERNEL-nbpack]
    #[arg(long)]
    name: Option<String>,
    /// What the launcher shows [default: the wrapped kernel's, with "(nbpack)"]
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// How file accesses are watched: the way to begin with, of which the ones after it take the place where it
    /// does not work here. `notify` sees all and costs least, `ptrace` sees all, `audit` what Python code opens
    #[arg(long, value_name = "MODE", value_parser = ["auto", "notify", "ptrace", "audit", "none"])]
    capture: Option<String>,
    /// Make no layers for an export to come while the kernel idles
    #[arg(long)]
    no_prepare: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Where kernelspecs are installed.
#[derive(clap::Args, Debug, Clone, Default)]
#[group(multiple = false)]
pub(super) struct Place {
    /// Into the user's Jupyter directory (the default)
    #[arg(long)]
    user: bool,
    /// Into the active environment, or that of `jupyter` on PATH
    #[arg(long)]
    sys_prefix: bool,
    /// Into DIR/share/jupyter/kernels
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

impl Place {
    /// Whether one was named.
    pub(super) fn is_given(&self) -> bool {
        self.user || self.sys_prefix || self.prefix.is_some()
    }

    /// The environment it means; `None` for the user's directory.
    fn prefix(&self, context: &Context) -> anyhow::Result<Option<PathBuf>> {
        if let Some(dir) = &self.prefix {
            return Ok(Some(context.cwd.join(dir)));
        }
        if !self.sys_prefix {
            return Ok(None);
        }
        let none = || {
            Failure::unable("no environment is active, and there is no `jupyter` on PATH")
                .hint("activate the environment, name it with --prefix DIR, or use --user")
        };
        Ok(Some(kernelspec::guess_prefix(&env(context)).ok_or_else(none)?))
    }

    /// The directory that kernelspecs go into, and where wrapped ones are looked for.
    pub(super) fn resolve(&self, context: &Context) -> anyhow::Result<(PathBuf, SearchPath)> {
        let env = env(context);
        if let Some(prefix) = self.prefix(context)? {
            let path = SearchPath::from_env(&env, Some(&prefix)).preferring(&prefix);
            return Ok((prefix.join("share/jupyter/kernels"), path));
        }
        let path = SearchPath::from_env(&env, kernelspec::guess_prefix(&env).as_deref());
        let data = env("JUPYTER_DATA_DIR").map(PathBuf::from).unwrap_or_else(|| {
            let share = env("XDG_DATA_HOME").map_or_else(|| context.home.join(".local/share"), PathBuf::from);
            share.join("jupyter")
        });
        Ok((data.join("kernels"), path))
    }
}

/// The environment as kernelspec lookup wants it: `HOME` is there also where the variable is not, and nothing is empty.
fn env(context: &Context) -> impl Fn(&str) -> Option<OsString> + '_ {
    |name| match name {
        "HOME" => Some(context.home.clone().into()),
        _ => context.env.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty()).cloned(),
    }
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (dir, path) = args.place.resolve(context)?;
    let wrapped = find(&path, &args.kernel)?;
    wrapped.check_wrappable()?;
    let python = resolve_python(&wrapped, &path, context)?;
    let name = args.name.clone().unwrap_or_else(|| format!("{}-nbpack", args.kernel.to_lowercase()));
    let target = dir.join(&name);
    check_free(&target)?;
    let program = std::env::current_exe().map_err(FileError::new("find", Path::new("/proc/self/exe")))?;
    let spec = describe(&args, &wrapped, &program, python.as_deref(), &target)?;
    write(&target, &spec, &wrapped)?;
    let extension = labextension::install(&dir)?;
    let display_name = spec.get("display_name").and_then(Value::as_str).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    if args.json {
        let done = json!({
            "name": name, "display_name": display_name, "path": target, "wraps": wrapped.name,
            "wrapped_dir": wrapped.resource_dir, "labextension": extension,
        });
        writeln!(out, "{done}")?;
    } else if !context.quiet {
        writeln!(out, "installed \"{display_name}\" as {name} in {}", target.display())?;
        writeln!(out, "it records what {} ({}) runs", wrapped.name, wrapped.resource_dir.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find(path: &SearchPath, name: &str) -> anyhow::Result<Kernelspec> {
    kernelspec::find(path, name).map_err(|error| {
        let hint = match &error {
            KernelspecError::NotFound { name, .. } if name == "python3" => {
                "install ipykernel (`pip install ipykernel`) in the environment and activate it, \
                 or name the environment with --prefix DIR, or another kernel with --kernel NAME"
            }
            KernelspecError::NotFound { .. } => {
                "`jupyter kernelspec list` shows the kernels; name the environment that has it with --prefix DIR"
            }
            _ => return error.into(),
        };
        Failure::unable(error.to_string()).hint(hint).into()
    })
}

/// The absolute path of the interpreter that a bare `python` in the wrapped command means.
fn resolve_python(wrapped: &Kernelspec, path: &SearchPath, context: &Context) -> anyhow::Result<Option<PathBuf>> {
    let program = wrapped.argv.first().map(String::as_str).unwrap_or_default();
    if !wrapped.has_bare_python() {
        if program.starts_with('/') && !Path::new(program).exists() {
            let message = format!("kernelspec `{}` starts `{program}`, which is not there", wrapped.name);
            return Err(Failure::unable(message)
                .hint("install that kernel again, or choose another with --kernel")
                .into());
        }
        return Ok(None);
    }
    let of_prefix = |prefix: &Path| [program, "python3", "python"].map(|name| prefix.join("bin").join(name));
    let places = [wrapped.prefix(), path.prefix.as_deref()].into_iter().flatten().flat_map(of_prefix);
    let dirs = context.env.get(std::ffi::OsStr::new("PATH")).map(std::env::split_paths);
    let on_path = dirs.into_iter().flatten().map(|dir| dir.join(program));
    let found = places.chain(on_path).find(|file| file.is_absolute() && file.is_file());
    let none = || {
        Failure::unable(format!("kernelspec `{}` starts `{program}`, and none is on PATH", wrapped.name))
            .hint("activate the environment that Jupyter runs in, or name it with --prefix DIR")
    };
    Ok(Some(found.ok_or_else(none)?))
}

/// Refuses to write over what is not ours.
fn check_free(target: &Path) -> anyhow::Result<()> {
    if target.exists() && !kernelspec::read(target).is_ok_and(|spec| spec.is_ours()) {
        let message = format!("`{}` exists and is no recording kernel", target.display());
        return Err(Failure::unable(message).hint("choose another name with --name NAME").into());
    }
    Ok(())
}

/// Our `kernel.json`: the template, what the wrapped one says, and the command.
fn describe(
    args: &Args,
    wrapped: &Kernelspec,
    program: &Path,
    python: Option<&Path>,
    target: &Path,
) -> anyhow::Result<Map<String, Value>> {
    let mut spec: Map<String, Value> = serde_json::from_str(TEMPLATE)?;
    let wrap_dir = if wrapped.resource_dir.join("kernel.json").is_file() {
        wrapped.resource_dir.clone()
    } else {
        // ipykernel's own `python3` has no file; a copy of what it would say lies in our directory.
        target.join("wrapped").join(&wrapped.name)
    };
    let mut argv = vec![text(program)?, "kernel".to_owned(), "-f".to_owned(), "{connection_file}".to_owned()];
    argv.extend(["--wrap".to_owned(), wrapped.name.clone(), "--wrap-dir".to_owned(), text(&wrap_dir)?]);
    for (flag, value) in [("--python", python.map(text).transpose()?), ("--capture", args.capture.clone())] {
        if let Some(value) = value {
            argv.extend([flag.to_owned(), value]);
        }
    }
    argv.extend(args.no_prepare.then(|| "--no-prepare".to_owned()));
    let display_name = args.display_name.clone().unwrap_or_else(|| titled(&wrapped.display_name, "nbpack"));
    spec.insert("argv".to_owned(), argv.into());
    spec.insert("display_name".to_owned(), display_name.into());
    spec.insert("language".to_owned(), wrapped.language.as_str().into());
    for key in ["interrupt_mode", "env", "kernel_protocol_version"] {
        match wrapped.raw.get(key) {
            Some(value) => spec.insert(key.to_owned(), value.clone()),
            None => spec.remove(key),
        };
    }
    let mut metadata = wrapped.metadata.as_object().cloned().unwrap_or_default();
    // We do not speak CurveZMQ, whatever the wrapped kernel does.
    metadata.remove("supported_encryption");
    spec.insert("metadata".to_owned(), metadata.into());
    Ok(spec)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let message = || Failure::unable(format!("`{}` is not UTF-8, which a kernelspec must be", path.display()));
    Ok(path.to_str().ok_or_else(message)?.to_owned())
}

/// "Python 3 (ipykernel)" becomes "Python 3 (MARK)".
pub(super) fn titled(wrapped: &str, mark: &str) -> String {
    let wrapped = wrapped.trim();
    let stem = match wrapped.rsplit_once('(') {
        Some((stem, rest)) if rest.ends_with(')') && !stem.trim().is_empty() => stem.trim(),
        _ => wrapped,
    };
    format!("{stem} ({mark})")
}

/// Puts the kernelspec's directory in place in one step, over an older one of ours.
fn write(target: &Path, spec: &Map<String, Value>, wrapped: &Kernelspec) -> anyhow::Result<()> {
    let parent = files::parent(target);
    files::create_dir(parent)?;
    let fresh = tempfile::Builder::new()
        .prefix(".nbpack-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(FileError::new("create a directory in", parent))?;
    let put = |name: &str, bytes: &[u8]| files::publish_bytes(&fresh.path().join(name), 0o644, bytes);
    put("kernel.json", format!("{:#}\n", Value::Object(spec.clone())).as_bytes())?;
    for (name, bytes) in LOGOS {
        put(name, bytes)?;
    }
    for name in ["kernel.js", "kernel.css"] {
        let file = wrapped.resource_dir.join(name);
        if file.is_file() {
            put(name, &files::read_bounded(&file, 16 << 20)?)?;
        }
    }
    if !wrapped.resource_dir.join("kernel.json").is_file() {
        files::create_dir(&fresh.path().join("wrapped").join(&wrapped.name))?;
        put(&format!("wrapped/{}/kernel.json", wrapped.name), format!("{:#}\n", wrapped.raw).as_bytes())?;
    }
    let fresh = fresh.keep();
    if target.exists() {
        let old = fresh.with_extension("old");
        std::fs::rename(target, &old).map_err(FileError::new("replace", target))?;
        std::fs::rename(&fresh, target).map_err(FileError::new("write", target))?;
        std::fs::remove_dir_all(&old).map_err(FileError::new("remove", &old))?;
    } else {
        std::fs::rename(&fresh, target).map_err(FileError::new("write", target))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_display_name_says_who_records() {
        for (wrapped, ours) in [
            ("Python 3 (ipykernel)", "Python 3 (nbpack)"),
            ("R", "R (nbpack)"),
            ("Python 3.11 (XPython Raw)", "Python 3.11 (nbpack)"),
            ("(odd)", "(odd) (nbpack)"),
            ("a (b) c", "a (b) c (nbpack)"),
        ] {
            assert_eq!(titled(wrapped, "nbpack"), ours);
        }
    }
}
