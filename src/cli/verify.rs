//! `nbpack verify`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use super::{
    Context,
    failure::Failure,
    progress::Progress,
    remote::{self, Remote},
    restored::Bar,
    sign,
};
use crate::{
    bundle::verify::{self, Report},
    files,
    registry::Reference,
    restore::{self, model::Restored},
    signature::{PublicKey, Trust},
    store::Store,
};

/// Read every byte of a bundle, or of what was restored from it, and prove it.
///
/// Exit code 0: every byte is as it should be. 1: something is damaged; every damaged blob is named. 2: it could not
/// be told.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The bundle: a file, an OCI image layout directory, its name in a registry, or the name of a restored one.
    #[arg(value_name = "FILE|NAME")]
    bundle: PathBuf,
    /// Plain HTTP may be used with a registry (it may with this machine without being asked).
    #[arg(long)]
    insecure: bool,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    /// Demand that one of these keys signed it: an `allowed_signers` file, an SSH public key, or `cosign.pub`.
    #[arg(long, value_name = "FILE")]
    signed_by: Option<PathBuf>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(name) = args.bundle.to_str().filter(|_| !args.bundle.exists())
        && let Ok(store) = context.store()
        && let Some(found) = restore::find(&store, name)?
    {
        if args.signed_by.is_some() {
            return Err(Failure::unable(
                "signatures lie in the bundle's file or its registry, not in what was restored from it",
            )
            .hint("give the file, or its name in the registry")
            .into());
        }
        return restored(&args, &found, &store, context);
    }
    let trust = args.signed_by.as_deref().map(|path| sign::trust(path, context)).transpose()?;
    let name = args.bundle.display();
    let word = args.bundle.to_string_lossy();
    let result = match remote::named(&word, context)? {
        Some(reference) => Ok(of_registry(reference, args.insecure, context)?),
        None => {
            let progress = Progress::new(context.fancy);
            let size = std::fs::metadata(&args.bundle).map_or(0, |metadata| metadata.len());
            let result = verify::file(&args.bundle, &progress.packing(size));
            progress.clear();
            result
        }
    };
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            let damaged = error.is_damage();
            if args.json {
                print(&serde_json::json!({
                    "sound": false,
                    "damaged": damaged,
                    "problems": [chain(&error)],
                }))?;
                return Ok(ExitCode::from(if damaged { 1 } else { 2 }));
            }
            let failure = if damaged {
                Failure::no(format!("`{name}` is damaged"))
                    .hint("copy it again from where it is whole, then verify again")
            } else {
                Failure::unable(format!("cannot verify `{name}`"))
            };
            return Err(anyhow::Error::from(error).context(failure));
        }
    };
    if args.json {
        print(&as_json(&report, trust.as_ref()))?;
    } else if report.is_sound() {
        let repacked = if report.repacked { " (the archive around them was written by another program)" } else { "" };
        writeln!(
            std::io::stdout().lock(),
            "{name}: sound\n{} blobs, {} bytes, all proved{repacked}\nmanifest {}\n{}",
            report.blobs,
            report.bytes,
            report.manifest,
            sign::lines(&report.signed_by, trust.as_ref()).join("\n")
        )
        .context("cannot write to stdout")?;
    }
    if report.is_sound() {
        sign::demand(&name.to_string(), &report.signed_by, trust.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let code = if report.is_damaged() { 1 } else { 2 };
    if args.json {
        return Ok(ExitCode::from(code));
    }
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&format!("  {}\n", chain(problem)));
    }
    std::io::stderr().lock().write_all(text.as_bytes()).context("cannot write to stderr")?;
    let count = report.problems.len();
    let things = if count == 1 { "thing is" } else { "things are" };
    Err(if code == 1 {
        Failure::no(format!("`{name}` is damaged: {count} {things} not as the manifest says"))
            .hint("copy it again from where it is whole, then verify again")
            .into()
    } else {
        Failure::unable(format!("cannot read all of `{name}`")).into()
    })
}

/// Fetches what the store does not have of an image, and proves all of it.
fn of_registry(reference: Reference, insecure: bool, context: &Context) -> anyhow::Result<Report> {
    let store = context.store()?;
    let mut remote = Remote::open(reference, insecure, &store, context)?;
    remote.fetch_signatures()?;
    let pulled = remote.fetch(&store, &|_| true)?;
    let progress = Progress::new(context.fancy);
    let size = remote.bundle.layers().iter().map(|layer| layer.descriptor.size).sum();
    let report = remote.bundle.verify(&progress.packing(size));
    progress.clear();
    crate::registry::forget(&store, &pulled.blobs);
    Ok(report)
}

/// Proves the unpacked layers of a restored bundle.
fn restored(args: &Args, found: &Restored, store: &Store, context: &Context) -> anyhow::Result<ExitCode> {
    let name = &found.name;
    let bar = Bar::new(context);
    let altered = restore::prove(found, store, &bar);
    bar.clear();
    let altered = altered.with_context(|| Failure::unable(format!("cannot read all of `{name}`")))?;
    let mut problems = Vec::new();
    for layer in &altered {
        let place = format!("layer {} (`{}`)", layer.index, layer.title);
        problems.extend(layer.changed.iter().map(|path| {
            let path = files::display_bytes(path.as_os_str().as_encoded_bytes());
            format!("{place}: `{path}` was changed after it was unpacked")
        }));
        if layer.changed.is_empty() {
            problems.push(format!("{place}: its files are not what was unpacked (a fault of the disk?)"));
        }
    }
    if args.json {
        print(&serde_json::json!({
            "sound": altered.is_empty(), "damaged": !altered.is_empty(), "manifest": found.manifest,
            "layers": found.layers.len(), "problems": problems,
        }))?;
        return Ok(ExitCode::from(u8::from(!altered.is_empty())));
    }
    if altered.is_empty() {
        writeln!(
            std::io::stdout().lock(),
            "{name}: sound\n{} unpacked layers, every file read again\nmanifest {}",
            found.layers.len(),
            found.manifest
        )
        .context("cannot write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut err = std::io::stderr().lock();
    for problem in problems {
        writeln!(err, "  {problem}").context("cannot write to stderr")?;
    }
    Err(Failure::no(format!("`{name}` is not what was restored: {} layers are altered", altered.len()))
        .hint(format!("nbpack rm {name} && nbpack gc, then restore it again from its file"))
        .into())
}

fn as_json(report: &Report, trust: Option<&Trust>) -> serde_json::Value {
    let signer = |key: &PublicKey| {
        let known = trust.map(|trust| trust.knows(key));
        serde_json::json!({ "key": key.to_string(), "believed": known.map(|known| known.is_some()), "name": known.flatten() })
    };
    serde_json::json!({
        "signed_by": report.signed_by.iter().map(signer).collect::<Vec<_>>(),
        "sound": report.is_sound(),
        "damaged": report.is_damaged(),
        "manifest": report.manifest,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "repacked": report.repacked,
        "problems": report.problems.iter().map(|problem| chain(problem)).collect::<Vec<_>>(),
    })
}

fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{value:#}").context("cannot write to stdout")
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
