//! `nbpack restore`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{
    Context,
    engine::{EngineArgs, Image},
    failure::Failure,
    install::Place,
    reference,
    remote::{self, Remote},
    restored::{self, Bar},
    run::GivenArgs,
    sign,
};
use crate::{
    bundle::read::Bundle,
    container::engine::Engine,
    event, files, jupyter,
    restore::{self, RestoreError, model::Restored},
    store::Store,
};

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-svg.svg", include_bytes!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/logo-svg.svg")),
    ("logo-32x32.png", include_bytes!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../kernelspec/data/share/jupyter/kernels/python3-nbpack/logo-64x64.png")),
];

/// Bring a bundle back to life on this machine: its layers, its notebook, its kernel
///
/// Every byte is proved before it is used. Layers that other bundles brought are shared.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle's file (or OCI layout directory), its name in a registry, the name of a restored one, or a notebook that
    /// names its bundle (*Write this digest into the notebook* in the panel's export)
    bundle: String,
    /// Call it this [default: after the notebook]
    #[arg(long)]
    name: Option<String>,
    /// Write the notebook here; `-`: to stdout [default: its own name, in this directory]
    #[arg(long, value_name = "PATH")]
    notebook: Option<PathBuf>,
    /// Register no kernel, even where there is a Jupyter
    #[arg(long)]
    no_kernel: bool,
    /// Register the kernel even where no Jupyter is found
    #[arg(long, conflicts_with = "no_kernel")]
    kernel: bool,
    #[command(flatten)]
    place: Place,
    /// What the kernel may see of this machine
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// Plain HTTP may be used with a registry (it may with this machine without being asked)
    #[arg(long)]
    insecure: bool,
    /// Write over a different notebook of this name
    #[arg(long)]
    force: bool,
    /// Restore it only if one of these keys signed it: an `allowed_signers` file, an SSH public key, or `cosign.pub`
    #[arg(long, value_name = "FILE")]
    signed_by: Option<PathBuf>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(mut args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let followed = reference::followed(&args.bundle, context)?.into_owned();
    // Who gives a notebook has it.
    let has_notebook = followed != args.bundle && args.notebook.is_none();
    args.bundle = followed;
    let given = args.given.kernel_words(context)?;
    let store = context.store()?;
    let (mut found, signed_by) = ensure(&args, &store, context)?;
    if let Some(engine) = args.engine.engine {
        give_to_engine(engine, &args, &mut found, context)?;
    }
    restored::say_machine(&found, context);
    let to_stdout = args.notebook.as_deref() == Some(Path::new("-"));
    if to_stdout {
        let bytes = read_notebook(&found, &store)?;
        std::io::stdout().lock().write_all(&bytes)?;
    } else if !has_notebook && let Some(path) = write_notebook(&args, &found, &store, context)? {
        found.notebook = Some(path);
    }
    let kernelspec = register(&args, &found, given, context)?;
    if let Some(dir) = kernelspec.as_ref().filter(|dir| !found.kernelspecs.contains(dir)) {
        found.kernelspecs.push(dir.clone());
    }
    restore::save(&store, &found)?;
    restored::say_elsewhere(context);
    // What is said to be restored survives a power failure.
    restore::settle(&store)?;
    if !to_stdout {
        report(&args, &found, &signed_by, kernelspec.as_deref(), context)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The restored bundle, and a line for each who signed it; none where neither file nor registry is there to say.
fn ensure(args: &Args, store: &Store, context: &Context) -> anyhow::Result<(Restored, Vec<String>)> {
    if let Some(reference) = remote::named(&args.bundle, context)? {
        let mut remote = Remote::open(reference, args.insecure, store, context)?;
        remote.fetch_signatures()?;
        let signed_by = check_signatures(args, &remote.bundle, context)?;
        return Ok((remote::unpack(remote, args.name.as_deref(), store, context)?, signed_by));
    }
    let path = context.cwd.join(args.bundle.strip_prefix("oci:").unwrap_or(&args.bundle));
    if !path.exists() {
        if args.signed_by.is_some() {
            return Err(Failure::unable(
                "signatures lie in the bundle's file or its registry, not in what was restored from it",
            )
            .hint("give the file, or its name in the registry")
            .into());
        }
        let found = restored::resolve(&args.bundle, context)?;
        if args.name.as_deref().is_some_and(|name| name != found.name) {
            return Err(Failure::unable(format!("`{}` is restored already, under that name", args.bundle))
                .hint("give the bundle's file to restore it under another name")
                .into());
        }
        return Ok((found, Vec::new()));
    }
    let bundle = Bundle::open(&path)
        .map_err(|source| restored::explain(RestoreError::Bundle { path, source: Box::new(source) }, &args.bundle))?;
    let signed_by = check_signatures(args, &bundle, context)?;
    let bar = Bar::new(context);
    let found = restore::ensure(&bundle, store, args.name.as_deref(), event::now(), &bar);
    bar.clear();
    Ok((found.map_err(|error| restored::explain(error, &args.bundle))?, signed_by))
}

/// Gives the image to the engine that its kernel will run in.
fn give_to_engine(engine: Engine, args: &Args, found: &mut Restored, context: &Context) -> anyhow::Result<()> {
    Image::of(engine, &args.bundle, context)?;
    let name = engine.program().to_owned();
    if !found.engines.contains(&name) {
        found.engines.push(name);
    }
    Ok(())
}

/// Who signed, found out before anything is unpacked; whoever is demanded must be among them.
fn check_signatures(args: &Args, bundle: &Bundle, context: &Context) -> anyhow::Result<Vec<String>> {
    let trust = args.signed_by.as_deref().map(|path| sign::trust(path, context)).transpose()?;
    let signed_by = sign::signers(bundle, &args.bundle)?;
    sign::demand(&args.bundle, &signed_by, trust.as_ref())?;
    Ok(sign::lines(&signed_by, trust.as_ref()))
}

fn read_notebook(found: &Restored, store: &Store) -> anyhow::Result<Vec<u8>> {
    let none = || Failure::unable(format!("`{}` holds no notebook", found.name));
    let path = restore::notebook_path(found, store).ok_or_else(none)?;
    Ok(files::read_bounded(&path, 1 << 30)?)
}

/// Writes the notebook; its path, or `None` when the bundle has none and none was asked for.
fn write_notebook(args: &Args, found: &Restored, store: &Store, context: &Context) -> anyhow::Result<Option<PathBuf>> {
    if restore::notebook_path(found, store).is_none() && args.notebook.is_none() {
        return Ok(None);
    }
    let bytes = read_notebook(found, store)?;
    let own_name = found.run.notebook.as_deref().and_then(Path::file_name).map(PathBuf::from);
    let default = own_name.unwrap_or_else(|| PathBuf::from(format!("{}.ipynb", found.name)));
    let target = context.cwd.join(args.notebook.clone().unwrap_or(default));
    let there = match files::read(&target) {
        Ok(there) => Some(there),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    if there.as_ref() == Some(&bytes) {
        return Ok(Some(target));
    }
    if there.is_some() && !args.force {
        let message = format!("`{}` exists and differs from the bundle's notebook", target.display());
        return Err(Failure::unable(message)
            .hint("write it elsewhere with --notebook PATH, or over it with --force")
            .into());
    }
    files::publish_bytes(&target, 0o644, &bytes)?;
    Ok(Some(target))
}

/// Registers the kernel where a Jupyter is; its directory.
fn register(args: &Args, found: &Restored, given: Vec<String>, context: &Context) -> anyhow::Result<Option<PathBuf>> {
    let wanted = args.kernel || args.place.is_given();
    if args.no_kernel || !(wanted || has_jupyter(context)) {
        return Ok(None);
    }
    let (kernels, _) = args.place.resolve(context)?;
    let dir = kernels.join(format!("nbpack-{}", found.name.to_lowercase()));
    if dir.exists() && !jupyter::kernelspec::read(&dir).is_ok_and(|spec| spec.is_ours()) {
        let message = format!("`{}` exists and is not one of ours", dir.display());
        return Err(Failure::unable(message).hint("choose another name with --name").into());
    }
    files::create_dir(&dir)?;
    for (name, bytes) in LOGOS {
        files::publish_bytes(&dir.join(name), 0o644, bytes)?;
    }
    let program = restored::program()?;
    let program = program.to_str().ok_or_else(|| Failure::unable("this program's path is not UTF-8"))?;
    let spec = kernelspec(found, program, given, args.engine.engine);
    files::publish_bytes(&dir.join("kernel.json"), 0o644, format!("{spec:#}\n").as_bytes())?;
    Ok(Some(dir))
}

/// What the launcher shows: "Python 3 (nbpack 0123456789ab)".
fn title(found: &Restored, engine: Option<Engine>) -> String {
    let engine = engine.map_or_else(String::new, |engine| format!(", {}", engine.program()));
    super::install::titled(&found.run.display_name, &format!("nbpack {}{engine}", found.manifest.short()))
}

/// `kernel.json` of the restored kernel.
fn kernelspec(found: &Restored, program: &str, given: Vec<String>, engine: Option<Engine>) -> Value {
    let run = &found.run;
    let display_name = title(found, engine);
    let mut argv =
        [program, "kernel", "-f", "{connection_file}", "--restored", &found.name].map(str::to_owned).to_vec();
    argv.extend(given);
    argv.extend(engine.map(Image::word));
    json!({
        "argv": argv,
        "display_name": display_name,
        "language": run.language,
        "interrupt_mode": run.interrupt_mode,
        "metadata": { "debugger": run.debugger },
    })
}

/// Whether this user has a Jupyter: its program on PATH, an active environment with it, or its data directory.
fn has_jupyter(context: &Context) -> bool {
    let on_path = context.env.get(std::ffi::OsStr::new("PATH")).map(std::env::split_paths);
    let program = on_path.into_iter().flatten().any(|dir| dir.join("jupyter").is_file());
    let share = context.var("XDG_DATA_HOME").map_or_else(|| context.home.join(".local/share"), PathBuf::from);
    program || context.var("JUPYTER_DATA_DIR").is_some() || share.join("jupyter").is_dir()
}

fn report(
    args: &Args,
    found: &Restored,
    signed_by: &[String],
    kernelspec: Option<&Path>,
    context: &Context,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        let done = json!({
            "name": found.name,
            "manifest": found.manifest,
            "signed_by": signed_by,
            "layers": found.layers.len(),
            "notebook": found.notebook,
            "kernelspec": kernelspec,
            "coverage": found.run.coverage,
        });
        return Ok(writeln!(out, "{done}")?);
    }
    writeln!(out, "restored {} ({}, {} layers)", found.name, found.manifest.short(), found.layers.len())?;
    for line in signed_by {
        writeln!(out, "{line}")?;
    }
    if let Some(path) = &found.notebook {
        writeln!(out, "notebook {}", path.display())?;
    }
    if let Some(dir) = kernelspec {
        let title = title(found, args.engine.engine);
        writeln!(out, "kernel \"{title}\" in {}", dir.display())?;
    } else if !args.no_kernel {
        writeln!(out, "no kernel was registered, for no Jupyter was found here (--kernel does it all the same)")?;
    }
    for (engine, size) in super::engine::sizes(found) {
        let size = super::progress::bytes(size);
        writeln!(
            out,
            "{engine} holds its own copy ({size}); the one here is for exports and for running without {engine}"
        )?;
    }
    if context.quiet {
        return Ok(());
    }
    writeln!(out, "next:")?;
    if kernelspec.is_some() {
        writeln!(out, "  open the notebook in Jupyter and choose that kernel")?;
    }
    let name = &found.name;
    let mut step = |command: String, why: &str| writeln!(out, "  {command:<36}  {why}");
    step(format!("nbpack replay {name}"), "run it again and judge every cell")?;
    if found.run.has_jupyter {
        step(format!("nbpack lab {name}"), "JupyterLab out of the bundle")?;
    }
    Ok(step(format!("nbpack run {name} -- COMMAND"), "a command in it")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_named_after_what_it_shows_and_the_digest() {
        let json = include_str!("../../tests/fixtures/restored.json");
        let found: Restored = serde_json::from_str(json).unwrap();
        let spec = kernelspec(&found, "/bin/nbpack", Vec::new(), None);
        assert_eq!(spec["display_name"], "Python 3 (nbpack 000000000000)");
        assert_eq!(spec["argv"], json!(["/bin/nbpack", "kernel", "-f", "{connection_file}", "--restored", "analysis"]));
        assert_eq!(spec["metadata"]["debugger"], true);
    }
}
