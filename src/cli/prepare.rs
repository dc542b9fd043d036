//! `nbpack prepare`: what a recording kernel starts while it idles.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{Context, export};
use crate::{
    bundle::{
        self, Progress,
        plan::{LayerKind, LayerPlan},
        write,
    },
    files::FileError,
    inventory, record,
    session::{self, model::SessionId},
    store::Store,
};

/// Make the layers of what a session has loaded, for an export to come (a recording kernel starts this)
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The session
    session: String,
    /// The process that started it, and that it ends with
    #[arg(long, value_name = "PID")]
    parent: u32,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    seconds: u64,
    /// Stop before the new layers have more than so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 30)]
    bytes: u64,
}

/// Packed layers that no export used for so long are removed.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    record::step_back(args.parent)?;
    let until = Until(Instant::now() + Duration::from_secs(args.seconds));
    let store = context.store()?;
    let recording = session::read_id(&store, &SessionId(args.session))?;
    // What earlier preparations made for nothing must not add up.
    bundle::collect_unused(&store, UNUSED, true)?;
    // The layers of a restored kernel are there.
    if recording.info.parent.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe().map_err(FileError::new("find", std::path::Path::new("/proc/self/exe")))?;
    let mut options = inventory::Options { program: Some(program), ..inventory::Options::default() };
    export::add_project(&mut options, context, &recording)?;
    let inventory = inventory::take(&recording, &store, &options, &mut |_| {})?;
    let run_config = inventory::run_config(&recording, &inventory);
    let mut plan = bundle::plan::plan(&inventory, &run_config, std::collections::BTreeMap::new())?;
    // Made or not, a layer is the one that an export would make.
    let have = write::reusable(&plan, &store, bundle::Compression::default());
    let mut left = args.bytes.min(room(&store)?);
    let layers = std::mem::take(&mut plan.layers).into_iter().zip(have);
    plan.layers = layers
        .filter(|(layer, have)| !have && is_of_the_environment(layer))
        .map(|(layer, _)| layer)
        .take_while(|layer| {
            let fits = layer.bytes <= left;
            left = left.saturating_sub(layer.bytes);
            fits
        })
        .collect();
    let options = write::WriteOptions { threads: 1, ..write::WriteOptions::default() };
    write::prepare(&plan, &store, options, &until)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether it holds nothing but what others can have too: the user's own data and code go into the store on export only.
fn is_of_the_environment(layer: &LayerPlan) -> bool {
    match layer.kind {
        LayerKind::Base
        | LayerKind::Interpreter
        | LayerKind::StandardLibrary
        | LayerKind::Code
        | LayerKind::Bytecode
        | LayerKind::Program => true,
        LayerKind::Inherited
        | LayerKind::Rest
        | LayerKind::Environment
        | LayerKind::State
        | LayerKind::Dataset
        | LayerKind::Local
        | LayerKind::Cache
        | LayerKind::Result
        | LayerKind::Session => false,
    }
}

/// What is left free of the store's disk: a tenth of a small one, this much of a large one.
const FREE: u64 = 5 << 30;

/// Bytes that may be taken from the store's disk.
fn room(store: &Store) -> Result<u64, FileError> {
    let disk =
        rustix::fs::statvfs(store.root()).map_err(|error| FileError::new("look at", store.root())(error.into()))?;
    let left = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(left(disk.f_bavail).saturating_sub(FREE.min(left(disk.f_blocks) / 10)))
}

/// Stops when the time is over.
struct Until(Instant);

impl Progress for Until {
    fn cancelled(&self) -> bool {
        Instant::now() > self.0
    }
}
