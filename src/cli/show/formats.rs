//! `nbpack show --format`: what a session used and did, for other tools.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::Value;

use super::{Inputs, Subject, online};
use crate::{
    bundle::read::Bundle,
    cli::{Context, failure::Failure, progress::Progress, terminal},
    files,
    inventory::model::{Class, Component, EntryKind, Inventory, Source},
    package_index::Index,
    report::standards::{self, Facts, Format, wheel},
    store::Store,
};

/// Of more files than these only the number is said.
const NAMED: usize = 8;

/// As on the command line.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name {
    /// Software list, SPDX 2.3
    Spdx,
    /// Software list, CycloneDX 1.6
    Cyclonedx,
    /// RO-Crate 1.1, Provenance Run Crate
    RoCrate,
    /// W3C PROV as JSON
    Prov,
    /// in-toto statement with SLSA provenance
    InToto,
    /// conda's environment file
    #[value(name = "environment.yml")]
    EnvironmentYml,
    /// Lock file of R's renv
    #[value(name = "renv.lock")]
    RenvLock,
    /// Names and versions for pip
    Requirements,
    /// Recipe of a like image
    Dockerfile,
    /// pylock.toml (PEP 751) and requirements with hashes, with the wheels they name
    Pylock,
    /// A folder for repo2docker and Binder
    Repo2docker,
}

impl Name {
    fn document(self) -> Option<Format> {
        Some(match self {
            Self::Spdx => Format::Spdx,
            Self::Cyclonedx => Format::CycloneDx,
            Self::RoCrate => Format::RoCrate,
            Self::Prov => Format::Prov,
            Self::InToto => Format::InToto,
            Self::EnvironmentYml => Format::EnvironmentYml,
            Self::RenvLock => Format::RenvLock,
            Self::Requirements => Format::Requirements,
            Self::Dockerfile => Format::Dockerfile,
            Self::Pylock | Self::Repo2docker => return None,
        })
    }
}

/// What the documents are made of.
pub(super) struct Software {
    /// As JSON, from a bundle or from this machine.
    pub(super) components: Value,
    /// From this machine.
    pub(super) inventory: Option<Inventory>,
}

/// Writes the documents to stdout or into a directory.
pub(super) fn write(
    name: Name,
    to: Option<&Path>,
    online: Option<&str>,
    subject: &Subject,
    software: Software,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    if online.is_some() && name != Name::Pylock {
        return Err(Failure::unable("--online goes with --format pylock").hint("no other format names wheels").into());
    }
    let components: Vec<Component> =
        serde_json::from_value(software.components).context("the software list is damaged")?;
    let notebook = subject.recording.info.notebook.as_deref().and_then(Path::file_stem);
    let title =
        notebook.map_or_else(|| subject.recording.info.id.to_string(), |stem| stem.to_string_lossy().into_owned());
    let facts = Facts { name: &title, recording: &subject.recording, components: &components };
    let to = to.map(|dir| context.cwd.join(dir));
    if let Some(format) = name.document() {
        let text = standards::render(format, &facts);
        match to {
            None => write!(std::io::stdout().lock(), "{text}")?,
            Some(dir) => {
                files::create_dir(&dir)?;
                files::publish_bytes(&dir.join(format.file_name()), 0o644, text.as_bytes())?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(dir) = to else {
        return Err(Failure::unable("this format is a directory").hint("name one with --to DIR").into());
    };
    files::create_dir(&dir)?;
    if name == Name::Repo2docker {
        repo2docker(&dir, &facts, subject)?;
        if !context.quiet {
            say_what_is_missing(subject, &context.store()?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let indexes = online.map(|named| online::indexes(named, context)).transpose()?.unwrap_or_default();
    let refused = pylock(&dir, subject, software.inventory.as_ref(), &indexes, context)?;
    if !context.quiet {
        for why in &refused {
            terminal::tell(&format!("warning: {why}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The notebook as it ran beside the recipe that repo2docker reads.
fn repo2docker(dir: &Path, facts: &Facts<'_>, subject: &Subject) -> anyhow::Result<()> {
    let has_conda = facts.components.iter().any(|component| component.kind == "conda");
    let format = if has_conda { Format::EnvironmentYml } else { Format::Requirements };
    let mut documents = vec![(format.file_name().to_owned(), standards::render(format, facts))];
    if facts.components.iter().any(|component| component.kind == "cran") {
        documents.push(("renv.lock".to_owned(), standards::render(Format::RenvLock, facts)));
    }
    let version =
        subject.recording.facts.get("python").and_then(|python| python.get("version")).and_then(Value::as_str);
    if let (false, Some(version)) = (has_conda, version) {
        let minor: Vec<&str> = version.split('.').take(2).collect();
        documents.push(("runtime.txt".to_owned(), format!("python-{}\n", minor.join("."))));
    }
    let notebook = crate::session::notebook(&subject.recording, crate::session::Form::AsRun);
    documents.push((format!("{}.ipynb", facts.name), format!("{notebook:#}\n")));
    for (name, text) in documents {
        files::publish_bytes(&dir.join(name), 0o644, text.as_bytes())?;
    }
    Ok(())
}

/// A recipe names software; what the notebook reads has to lie beside it.
fn say_what_is_missing(subject: &Subject, store: &Store) -> std::io::Result<()> {
    let cwd = &subject.recording.info.cwd;
    let Inputs { datasets, others } = Inputs::of(&subject.recording, store);
    let own = others.into_iter().filter(|(_, class)| *class == Class::LocalModule).map(|(version, _)| version);
    let read: BTreeSet<String> = datasets
        .into_iter()
        .chain(own)
        .map(|version| Path::new(OsStr::from_bytes(&version.path)))
        .map(|path| path.strip_prefix(cwd).unwrap_or(path).display().to_string())
        .collect();
    if read.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = read.iter().map(String::as_str).take(NAMED).collect();
    let more = if read.len() > NAMED { format!(" and {} more", read.len() - NAMED) } else { String::new() };
    terminal::tell(&format!("note: not in it is what the notebook reads: {}{more}", named.join(", ")))
}

/// Rebuilds the wheels and writes the lists of them; gives the distributions that cannot become one, and why.
fn pylock(
    dir: &Path,
    subject: &Subject,
    inventory: Option<&Inventory>,
    indexes: &[Index],
    context: &Context,
) -> anyhow::Result<Vec<String>> {
    let progress = Progress::new(context.fancy);
    let mut unpacked = None;
    let (found, roots) = match (&subject.bundle, inventory) {
        (Some(path), _) => {
            progress.stage("unpacking");
            let scratch = tempfile::tempdir_in(dir).context("cannot make a temporary directory")?;
            let bundle = Bundle::open_any(path)?;
            let found = of_bundle(&bundle, scratch.path())?;
            unpacked = Some(scratch);
            (found, bundle.run_config().roots.clone())
        }
        (None, Some(inventory)) => (of_inventory(inventory), inventory.roots.clone()),
        (None, None) => Default::default(),
    };
    let target = dir.join("wheels");
    files::create_dir(&target)?;
    let mut refused = Vec::new();
    let mut wheels = Vec::new();
    for dist_info in wheel::dist_infos(&found) {
        // What lies in the system's own directories belongs to its packages.
        if dist_info.starts_with(b"usr/lib/python") {
            continue;
        }
        let installed = match wheel::Installed::read(&dist_info, &found, &roots) {
            Err(error @ wheel::WheelError::Unfit { .. }) => {
                refused.push(error.to_string());
                continue;
            }
            result => result?,
        };
        progress.stage(&format!("wheel of {} {}", installed.name, installed.version));
        let wheel = match online::find(&installed, indexes)? {
            Some(wheel) => wheel,
            None => installed.rebuild(&target)?,
        };
        wheels.push(wheel);
    }
    drop(unpacked);
    progress.clear();
    // Two environments of one session may have the same distribution: the first one, the kernel's, is meant.
    let mut names = std::collections::BTreeSet::new();
    wheels.retain(|wheel| names.insert(wheel.name.clone()));
    wheels.sort();
    files::publish_bytes(&dir.join("pylock.toml"), 0o644, wheel::pylock(&wheels).as_bytes())?;
    files::publish_bytes(&dir.join("requirements.txt"), 0o644, wheel::requirements(&wheels).as_bytes())?;
    Ok(refused)
}

fn of_inventory(inventory: &Inventory) -> wheel::Files {
    let host = |(path, entry): (&Vec<u8>, &crate::inventory::model::Entry)| match &entry.kind {
        EntryKind::File { source: Source::Host { path: host, .. }, .. } => Some((path.clone(), host.clone())),
        _ => None,
    };
    inventory.entries.iter().filter_map(host).collect()
}

/// Unpacks a bundle's layers beside each other, and lists their files.
fn of_bundle(bundle: &Bundle, scratch: &Path) -> anyhow::Result<wheel::Files> {
    let mut found = wheel::Files::new();
    for index in 0..bundle.layers().len() {
        let root = scratch.join(index.to_string());
        bundle.unpack_layer(index, &root)?;
        let mut waiting: Vec<(Vec<u8>, PathBuf)> = vec![(Vec::new(), root)];
        while let Some((inside, dir)) = waiting.pop() {
            for entry in std::fs::read_dir(&dir).map_err(files::FileError::new("read", &dir))? {
                let entry = entry.map_err(files::FileError::new("read", &dir))?;
                let name = entry.file_name();
                let path = if inside.is_empty() {
                    name.as_encoded_bytes().to_vec()
                } else {
                    [&inside, &b"/"[..], name.as_encoded_bytes()].concat()
                };
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => waiting.push((path, entry.path())),
                    Ok(kind) if kind.is_file() => {
                        found.insert(path, entry.path());
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(found)
}
