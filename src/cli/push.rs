//! `nbpack push`.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;

use super::{
    Context,
    failure::Failure,
    progress::{Progress, bytes},
    remote, terminal,
};
use crate::{
    bundle::read::Bundle,
    registry::{self, Pushed, Reference},
    store::Store,
};

/// Copy a bundle to a registry; only what it does not have moves
///
/// Credentials are those of `docker login` and `podman login`. A session goes to a registry without a file in between by
/// `nbpack export -o REGISTRY/REPOSITORY:TAG`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack push analysis.nbpack registry.example/ann/analysis:v1
  nbpack push analysis.nbpack localhost:5000/analysis

Exit code: 0 it is there, 2 it could not be done; then the tag is as it was before.")]
pub(super) struct Args {
    /// The bundle: a file or an OCI image layout directory
    bundle: String,
    /// REGISTRY/REPOSITORY[:TAG]
    image: String,
    /// Plain HTTP may be used (it may with this machine without being asked)
    #[arg(long)]
    insecure: bool,
    /// Say what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let reference = remote::parse(&args.image)?;
    let path = context.cwd.join(args.bundle.strip_prefix("oci:").unwrap_or(&args.bundle));
    if !path.exists() {
        return Err(Failure::unable(format!("there is no bundle `{}`", args.bundle))
            .hint(format!("a recorded session is pushed by `nbpack export NOTEBOOK.ipynb -o {reference}`"))
            .into());
    }
    let bundle = Bundle::open_any(&path).with_context(|| {
        Failure::unable(format!("cannot use the bundle `{}`", args.bundle))
            .hint(format!("`nbpack verify {}` says more", args.bundle))
    })?;
    let pushed = push(&bundle, &reference, args.insecure, &context.store()?, context)?;
    say(&reference, &pushed, args.json, context)?;
    Ok(ExitCode::SUCCESS)
}

/// Pushes with progress.
pub(super) fn push(
    bundle: &Bundle,
    reference: &Reference,
    insecure: bool,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Pushed> {
    let client = remote::connect(reference, insecure, context)?;
    let progress = Progress::new(context.fancy);
    let total = bundle.layers().iter().map(|layer| layer.descriptor.size).sum();
    let pushed = registry::push(bundle, reference, &client, store, &progress.packing(total));
    progress.clear();
    pushed.map_err(remote::explain)
}

/// Tells what moved.
pub(super) fn say(reference: &Reference, pushed: &Pushed, json: bool, context: &Context) -> anyhow::Result<()> {
    if json {
        let value = serde_json::json!({
            "image": reference.to_string(), "manifest": pushed.manifest, "uploaded": pushed.uploaded,
            "uploaded_bytes": pushed.bytes, "mounted": pushed.mounted, "there": pushed.there,
            "signatures": pushed.signatures, "without_referrer": pushed.without_referrer,
        });
        return Ok(writeln!(std::io::stdout().lock(), "{value:#}")?);
    }
    if context.quiet {
        return Ok(());
    }
    if let Some(why) = &pushed.without_referrer {
        terminal::tell(&format!(
            "note: the registry did not take the record as a referrer ({why}); the image is complete"
        ))?;
    }
    writeln!(
        std::io::stderr().lock(),
        "{reference}: {} blobs sent ({}), {} mounted, {} were there{}, manifest {}",
        pushed.uploaded,
        bytes(pushed.bytes),
        pushed.mounted,
        pushed.there,
        match pushed.signatures {
            0 => String::new(),
            1 => ", 1 signature with it".to_owned(),
            several => format!(", {several} signatures with it"),
        },
        pushed.manifest.short()
    )?;
    Ok(())
}
