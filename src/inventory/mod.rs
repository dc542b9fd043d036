//! What a recording needs to run again: every file, link and directory of the image, each with its class and rule.
//!
//! Sources of truth are files on this machine: package managers' lists, RECORDs, `pyvenv.cfg`, ELF headers. Nothing is
//! run to find something out. Whole distributions, packages and interpreters go in, not touched files: a colleague who
//! goes on working imports what the session did not.

mod builder;
mod checkout;
mod child;
mod collect;
mod datasets;
mod declared;
mod distributions;
pub(crate) mod elf;
mod environment;
pub mod glob;
mod libraries;
mod listing;
pub mod model;
mod named;
mod overrides;
mod packaged;
mod packages;
mod paths;
mod private;
mod record;
pub mod rules;
mod run;
mod system;
mod tree;
mod trim;
mod user;

use std::{
    collections::{BTreeMap, HashSet},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use builder::Builder;
pub use child::{InParent, Parent, ParentNode, child_datasets, take_child};
pub use datasets::{Dataset, datasets, input_class, is_data};
pub(crate) use distributions::{normalise, percent_decoded};
use environment::{Environment, Kind};
use glob::Glob;
pub use listing::Listing;
use model::{Class, EntryKind, EnvironmentRoot, Inventory};
pub use packaged::OF_R;
pub(crate) use record::BY_INSTALLERS;
use rules::{Context, Rules};
pub use run::{RunConfig, child_run_config, run_config};
use system::System;
use tree::{Node, Tag, Tree};
pub use trim::{mark_untouched, without_apart};

use crate::{
    files::{display_bytes, source_of_bytecode},
    session::model::Recording,
    store::Store,
};

/// Where canonical roots lie in the image.
const CANONICAL: &str = "/opt/nbpack/env";

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Results go in as they were at the end.
    pub with_results: bool,
    /// The Jupyter that the user worked in goes in too, when it lives in another environment: a program of it.
    pub with_jupyter: Option<PathBuf>,
    /// Distributions that were not loaded go in from the system's and the user's site as well.
    pub all_installed: bool,
    /// Inputs above this many bytes are kept by digest only.
    pub size_limit: Option<u64>,
    /// Patterns of files that stay out.
    pub excludes: Vec<Glob>,
    /// Patterns of files that go in though the session did not read them.
    pub includes: Vec<Glob>,
    /// `[classify]` of nbpack.toml, in its order.
    pub classes: Vec<(Glob, Class)>,
    /// The static nbpack that goes to `/opt/nbpack/bin/nbpack`.
    pub program: Option<PathBuf>,
}

/// An inventory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The interpreter of the recorded kernel is gone: the image could not start.
    #[error("the kernel's program `{program}` is not on this machine any more")]
    NoKernel {
        /// `argv[0]` as recorded.
        program: String,
    },
    /// The program to put in the image cannot be read.
    #[error(transparent)]
    Program(#[from] crate::files::FileError),
}

/// Makes the inventory of a recording. `progress` is told what is being looked at.
pub fn take(
    recording: &Recording,
    store: &Store,
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> Result<Inventory, TakeError> {
    progress("package lists");
    let mut builder = Builder {
        recording,
        options,
        rules: Rules::new(options.classes.clone()),
        context: context(recording, store),
        tree: Tree::default(),
        components: Vec::new(),
        left_out: Vec::new(),
        warnings: Vec::new(),
        packages: packages::Packages::read(std::path::Path::new("/")),
        natives: Vec::new(),
        needs: Vec::new(),
        editable: Vec::new(),
        package_components: BTreeMap::new(),
        pending_names: Vec::new(),
        prefixes: Vec::new(),
    };
    let kernel = kernel_program(recording)?;
    add_program(&mut builder)?;
    progress("environments");
    let (environments, roots) = add_environments(&mut builder);
    progress("system libraries");
    let library_path = recording.environment.get("LD_LIBRARY_PATH").cloned().flatten();
    let mut system = System::new(library_path.as_deref());
    system.require(&mut builder, &kernel);
    for interpreter in System::script_interpreters(&kernel, "") {
        system.require(&mut builder, &interpreter);
    }
    system.take_python(&mut builder, &kernel);
    for environment in &environments {
        for need in &environment.needs {
            system.require(&mut builder, need);
            system.take_python(&mut builder, need);
        }
    }
    system.settle(&mut builder);
    system.take_base(&mut builder);
    progress("files of the session");
    let touched = user::summarise(recording);
    for (path, what) in &touched {
        if (what.usage.read || what.usage.executed) && !user::is_pseudo(path) {
            take_owner(&mut builder, &mut system, path);
        }
    }
    system::add_state(&mut builder, &mut system);
    system.settle(&mut builder);
    // What was imported goes in as it was then: only the rest of an editable source tree as it is now.
    user::add(&mut builder, &mut system, store, &touched);
    user::add_editable(&mut builder);
    user::add_included(&mut builder);
    named::add_named_in_code(&mut builder);
    add_notebook(&mut builder);
    add_profile(&mut builder);
    system::add_generated(&mut builder);
    user::add_pending_names(&mut builder);
    system.settle(&mut builder);
    Ok(finish(builder, system, roots))
}

/// Why a path of the recording machine is in or out: its class, its rule, what the rule says, and the path in the
/// image if it is in.
pub fn explain(inventory: &Inventory, path: &[u8]) -> Option<Explanation> {
    let bare = path.strip_prefix(b"/").unwrap_or(path);
    let in_it = inventory.entries.iter().find(|(at, entry)| {
        entry.original.as_deref().map_or(at.as_slice() == bare, |original| original == path || at.as_slice() == bare)
    });
    if let Some((at, entry)) = in_it {
        let text = rules::text_of(entry.rule).unwrap_or_default().to_owned();
        return Some(Explanation {
            class: entry.class,
            rule: entry.rule.to_owned(),
            text,
            image_path: Some(at.clone()),
        });
    }
    let out = inventory.left_out.iter().find(|out| out.path == path)?;
    Some(Explanation { class: out.class, rule: out.rule.clone(), text: out.why.clone(), image_path: None })
}

/// See [`explain`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The class.
    pub class: Class,
    /// The rule's name.
    pub rule: String,
    /// For a person.
    pub text: String,
    /// Where it lies in the image, without the leading slash; `None` when it is left out.
    pub image_path: Option<Vec<u8>>,
}

fn context(recording: &Recording, store: &Store) -> Context {
    let resolved = |path: &std::path::Path| {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        paths::bytes(&path).to_vec()
    };
    let value = |name: &str| {
        recording
            .environment
            .get(name)
            .cloned()
            .flatten()
            .filter(|value| value.starts_with('/'))
            .map(String::into_bytes)
    };
    let mut temporary = vec![b"/tmp".to_vec(), b"/var/tmp".to_vec(), b"/dev/shm".to_vec()];
    temporary.extend(value("TMPDIR"));
    Context {
        home: resolved(&recording.info.home),
        cwd: resolved(&recording.info.cwd),
        notebook: recording.info.notebook.as_deref().map(resolved),
        temporary,
        caches: ["XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "SKLEARN_DATA", "NLTK_DATA", "KERAS_HOME", "MPLCONFIGDIR"]
            .iter()
            .filter_map(|name| value(name))
            .collect(),
        runtime: ["XDG_RUNTIME_DIR", "JUPYTER_RUNTIME_DIR"].iter().filter_map(|name| value(name)).collect(),
        store: resolved(store.root()),
    }
}

fn kernel_program(recording: &Recording) -> Result<Vec<u8>, TakeError> {
    let program = recording.info.argv.first().cloned().unwrap_or_default();
    let path = recording.environment.get("PATH").cloned().flatten().unwrap_or_default();
    environment::find_program(program.as_bytes(), &path)
        .filter(|found| paths::as_path(found).is_file())
        .ok_or(TakeError::NoKernel { program })
}

/// Puts nbpack itself into the image.
fn add_program(builder: &mut Builder<'_>) -> Result<(), TakeError> {
    let Some(program) = &builder.options.program else { return Ok(()) };
    let metadata = std::fs::metadata(program).map_err(crate::files::FileError::new("read", program))?;
    let mut meta = tree::Meta::of(&metadata);
    meta.executable = metadata.permissions().mode() & 0o111 != 0;
    let source = model::Source::Host { path: program.clone(), signature: meta.signature };
    let tag = Tag { touched: false, ..Tag::new(Class::SystemState, "program") };
    builder.tree.add_file(PROGRAM, meta, source, None, tag);
    Ok(())
}

/// `/opt/nbpack/bin/nbpack`, as `bundle::config::PROGRAM` has it.
const PROGRAM: &[u8] = b"/opt/nbpack/bin/nbpack";

/// Finds the environments, gives them their roles and walks them.
fn add_environments(builder: &mut Builder<'_>) -> (Vec<Environment>, Vec<EnvironmentRoot>) {
    let mut environments = environment::find(builder.recording, &builder.context, &mut builder.tree);
    if let Some(program) = &builder.options.with_jupyter {
        environment::add_program(paths::bytes(program), &mut environments, &mut builder.tree);
    }
    let mut roots = Vec::new();
    let mut role = 0;
    for environment in &environments {
        let moved = environment.moved();
        for (prefix, below) in &moved {
            let mut canonical = format!("{CANONICAL}/{role}").into_bytes();
            if !below.is_empty() {
                canonical = paths::join(&canonical, below);
            }
            roots.push(EnvironmentRoot {
                role,
                kind: environment.word().to_owned(),
                prefix: paths::to_path(prefix),
                canonical: paths::to_path(&canonical),
            });
        }
        role += u32::from(!moved.is_empty());
    }
    // Outer ones first: the link of a nested one lies in the outer's canonical root.
    let mut ordered: Vec<&EnvironmentRoot> = roots.iter().collect();
    ordered.sort_by_key(|root| root.prefix.as_os_str().len());
    for root in ordered {
        builder.tree.add_root(paths::bytes(&root.prefix), paths::bytes(&root.canonical), Class::Environment);
    }
    builder.prefixes = environments
        .iter()
        .flat_map(|environment| match environment.kind {
            Kind::InPlace => [environment.sites.as_slice(), &environment.standard].concat(),
            _ if environment.shared => [environment.sites.as_slice(), &environment.standard].concat(),
            _ => vec![environment.prefix.clone()],
        })
        .collect();
    let touched: HashSet<Vec<u8>> = builder
        .recording
        .files
        .iter()
        .filter(|file| !user::is_pseudo(&file.path))
        .flat_map(|file| [Some(file.path.clone()), source_of_bytecode(&file.path)])
        .filter_map(|path| Some(builder.tree.resolve(&path?)?.path))
        .collect();
    for environment in &environments {
        // The links on the way to the prefix, as the session wrote it.
        for need in &environment.needs {
            if let Some(found) = builder.tree.resolve(paths::parent(need)) {
                builder.tree.add_links(&found.links);
            }
        }
        collect::collect(builder, environment, &environments, &|path| touched.contains(path));
    }
    (environments, roots)
}

/// Takes the package of a touched file, and marks it. No package lists bytecode: its owner is its source's.
fn take_owner(builder: &mut Builder<'_>, system: &mut System, path: &[u8]) {
    let source = source_of_bytecode(path).filter(|source| paths::as_path(source).is_file());
    let path = source.as_deref().unwrap_or(path);
    let Some(found) = builder.tree.resolve(path) else { return };
    if builder.in_environment(&found.path) {
        return;
    }
    let owner = builder.packages.owner(&found.path).or_else(|| builder.packages.owner(path));
    if owner.is_some() {
        system.require(builder, path);
    }
}

/// The notebook file as it is, when the session did not read it itself.
fn add_notebook(builder: &mut Builder<'_>) {
    let Some(path) = builder.recording.info.notebook.clone() else { return };
    let Some(found) = builder.tree.resolve(paths::bytes(&path)) else { return };
    let Node::File(meta) = found.node else { return };
    builder.tree.add_links(&found.links);
    let source = Tree::host(&found.path, &meta);
    builder.tree.add_file(&found.path, meta, source, Some(meta.seconds()), Tag::new(Class::Notebook, "notebook"));
}

/// The directories of IPython's profile, which it would otherwise make anew; never what lies in them.
fn add_profile(builder: &mut Builder<'_>) {
    let profile = paths::join(&builder.context.home, b".ipython/profile_default");
    for name in [&b""[..], b"startup", b"log", b"db"] {
        let dir = if name.is_empty() { profile.clone() } else { paths::join(&profile, name) };
        if let Some(found) = builder.tree.resolve(&dir).filter(|found| found.node == Node::Directory) {
            builder.tree.add_links(&found.links);
            builder.tree.add_directory(&found.path, Tag::new(Class::SystemState, "empty-directory"));
        }
    }
}

/// Brings the components into an order that depends on nothing but themselves.
fn sort_components(components: &mut Vec<model::Component>, entries: &mut BTreeMap<Vec<u8>, model::Entry>) {
    let mut order: Vec<(usize, model::Component)> = std::mem::take(components).into_iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| {
        (&a.kind, &a.name, &a.version, &a.arch).cmp(&(&b.kind, &b.name, &b.version, &b.arch))
    });
    let mut places = vec![0; order.len()];
    for (new, (old, component)) in order.into_iter().enumerate() {
        if let Some(place) = places.get_mut(old) {
            *place = new;
        }
        components.push(component);
    }
    for entry in entries.values_mut() {
        entry.component = entry.component.and_then(|old| places.get(old).copied());
    }
}

fn finish(builder: Builder<'_>, system: System, roots: Vec<EnvironmentRoot>) -> Inventory {
    let dirs = declared::directories(builder.recording);
    let Builder { tree, mut components, mut left_out, mut warnings, .. } = builder;
    let (mut entries, dropped) = tree.finish();
    for path in dropped {
        warnings.push(format!("/{} is not in: a file or link lies on its way", display_bytes(&path)));
    }
    sort_components(&mut components, &mut entries);
    for entry in entries.values().filter(|entry| entry.touched && matches!(entry.kind, EntryKind::File { .. })) {
        if let Some(component) = entry.component.and_then(|index| components.get_mut(index)) {
            component.loaded = true;
        }
    }
    components.extend(packaged::libraries(&entries, &components));
    sort_components(&mut components, &mut entries);
    for component in components.iter().filter(|component| !component.modified.is_empty()) {
        // All of them are in the software list.
        let (name, count) = (&component.name, component.modified.len());
        let files = component.modified.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if count > 3 { format!(" and {} more", count - 3) } else { String::new() };
        warnings.push(format!("{name} was changed after it was installed: {files}{more}"));
    }
    for (name, by) in system.missing {
        warnings.push(format!(
            "no file was found for the library {}, which {} names",
            display_bytes(&name),
            display_bytes(&by)
        ));
    }
    for out in left_out.iter().filter(|out| out.rule == "gpu-driver") {
        warnings.push(format!("{} belongs to this machine's graphics driver and is not in", display_bytes(&out.path)));
    }
    declared::mark(&mut components, &dirs);
    left_out.sort_by(|a, b| (&a.path, &a.rule).cmp(&(&b.path, &b.rule)));
    left_out.dedup();
    warnings.sort();
    warnings.dedup();
    Inventory { roots, entries, components, left_out, warnings }
}
