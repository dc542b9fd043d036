//! `nbpack pull`.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;

use super::{
    Context,
    failure::Failure,
    progress::bytes,
    remote::{self, Remote},
};
use crate::{
    bundle::{read::Bundle, write},
    files,
};

/// Copy a bundle from a registry into a file; only what the store does not have moves
///
/// The file is the one that was pushed, byte for byte, with the signatures that stand beside the image by now. `nbpack
/// restore`, `replay`, `verify` and the others take the registry's name themselves and need no file. An interrupted pull
/// goes on where it stopped.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack pull registry.example/ann/analysis:v1
  nbpack pull localhost:5000/analysis -o analysis.nbpack

Exit code: 0 written, 2 it could not be done.")]
pub(super) struct Args {
    /// REGISTRY/REPOSITORY[:TAG][@DIGEST]
    image: String,
    /// Where to write: a file, `dir:PATH` for an OCI layout directory, `-` for stdout [default: NAME.nbpack]
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Replace the output when it is there and is something else
    #[arg(short, long)]
    force: bool,
    /// Plain HTTP may be used (it may with this machine without being asked)
    #[arg(long)]
    insecure: bool,
    /// Say what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let reference = remote::parse(&args.image)?;
    let store = context.store()?;
    let mut remote = Remote::open(reference, args.insecure, &store, context)?;
    remote.fetch_signatures()?;
    let mut output = output(&args, &remote.bundle, context)?;
    let pulled = remote.fetch(&store, &|_| true)?;
    let length = write::copy(&remote.bundle, &store, &mut output).context("cannot write the bundle")?;
    let shown = match &output {
        write::Output::File(path) | write::Output::Dir(path) => path.display().to_string(),
        write::Output::Stdout | write::Output::Store => "-".to_owned(),
    };
    let manifest = remote.bundle.manifest_digest();
    if args.json && !matches!(output, write::Output::Stdout) {
        let value = serde_json::json!({
            "image": remote.reference.to_string(), "output": shown, "manifest": manifest, "bytes": length,
            "pulled": pulled.blobs.len(), "pulled_bytes": pulled.bytes, "there": pulled.there,
        });
        writeln!(std::io::stdout().lock(), "{value:#}")?;
    } else if !context.quiet {
        writeln!(
            std::io::stderr().lock(),
            "{shown}: {} in {} layers ({} came from the registry, {}), manifest {}",
            bytes(length),
            remote.bundle.layers().len(),
            pulled.blobs.len(),
            bytes(pulled.bytes),
            manifest.short()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it goes; nothing that is no bundle is written over.
fn output(args: &Args, bundle: &Bundle, context: &Context) -> anyhow::Result<write::Output> {
    let text = match args.output.as_deref() {
        Some("-") => return Ok(write::Output::Stdout),
        Some(text) => text.to_owned(),
        None => format!("{}.nbpack", bundle.run_config().name),
    };
    if let Some(dir) = text.strip_prefix("dir:") {
        return Ok(write::Output::Dir(context.cwd.join(dir)));
    }
    let path = context.cwd.join(&text);
    if path.exists() && !args.force && Bundle::open_any(&path).is_err() {
        return Err(Failure::unable(format!("`{}` is there already and is no bundle", path.display()))
            .hint("choose another name with -o, or use --force")
            .into());
    }
    if !files::parent(&path).is_dir() {
        return Err(Failure::unable(format!("there is no directory `{}`", files::parent(&path).display()))
            .hint("make it with `mkdir -p`, or name another place with -o")
            .into());
    }
    Ok(write::Output::File(path))
}
