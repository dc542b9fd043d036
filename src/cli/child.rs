//! Exporting a session of a restored kernel: its environment is in its parent's layers.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::{
    bundle::{self, plan::Plan},
    inventory::{self, Dataset, Parent, model::Inventory},
    restore::{self, model::Restored},
    session::model::Recording,
    store::Store,
};

/// The bundle that a recorded kernel was restored from.
pub(super) struct Origin {
    pub(super) restored: Restored,
    datasets: Vec<Dataset>,
}

/// `None` when the kernel was no restored one.
pub(super) fn origin(recording: &Recording, store: &Store) -> anyhow::Result<Option<Origin>> {
    let Some(manifest) = &recording.info.parent else { return Ok(None) };
    let Some(restored) = restore::by_manifest(store, manifest)? else {
        return Err(Failure::unable(format!(
            "the session's kernel came from the bundle {}, which is not restored here any more",
            manifest.short()
        ))
        .hint("restore that bundle again, then export: its layers go into the new one")
        .into());
    };
    let datasets = restore::datasets(&restored, store)?;
    Ok(Some(Origin { restored, datasets }))
}

impl Origin {
    /// What the session adds.
    pub(super) fn inventory(
        &self,
        recording: &Recording,
        store: &Store,
        options: &inventory::Options,
    ) -> anyhow::Result<Inventory> {
        let merged = restore::Merged::read(&self.restored, store)?;
        let volumes = volumes(recording);
        let parent = Parent {
            run: &self.restored.run,
            components: restore::components(&self.restored, store)?,
            datasets: self.datasets.clone(),
            look: &|path| merged.look(path),
            shown: &|path| restore::shown(&volumes, path),
        };
        Ok(inventory::take_child(recording, store, options, &parent)?)
    }

    pub(super) fn datasets(&self, recording: &Recording, inventory: &Inventory) -> Vec<Dataset> {
        inventory::child_datasets(recording, inventory, &self.datasets)
    }

    /// The parent's layers below those of `above`.
    pub(super) fn plan(&self, inventory: &Inventory, above: Plan, store: &Store) -> anyhow::Result<Plan> {
        let program = bundle::config::PROGRAM.trim_start_matches('/').as_bytes();
        let inherited = restore::inherited(&self.restored, store, inventory.entries.contains_key(program));
        Ok(bundle::child::plan(&inherited, above)?)
    }
}

/// What was shown to the kernel, as (host, inside).
fn volumes(recording: &Recording) -> Vec<(PathBuf, PathBuf)> {
    let pairs = recording.facts.get(VOLUMES).and_then(|fact| fact.as_array());
    let text = |value: &serde_json::Value, at: usize| Some(Path::new(value.get(at)?.as_str()?).to_owned());
    pairs.into_iter().flatten().filter_map(|pair| Some((text(pair, 0)?, text(pair, 1)?))).collect()
}

/// The fact that holds what was shown to a restored kernel.
pub(super) const VOLUMES: &str = "restored.volumes";
