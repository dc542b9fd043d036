//! A bundle on top of another one: the layers that are unpacked already go in as they are.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    derive,
    plan::{LayerKind, LayerPlan, MAX_LAYERS, Plan, Planned},
    tar::{self, Body},
};
use crate::{digest::DiffId, files::FileError};

/// An unpacked layer of the parent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inherited {
    /// Its tree.
    pub root: PathBuf,
    /// Its title.
    pub title: String,
    /// The digest that it must still have when it is packed.
    pub diff_id: DiffId,
}

/// Puts the layers of a plan above `inherited`, bottom first.
///
/// Past [`MAX_LAYERS`] the uppermost inherited ones become one.
pub fn plan(inherited: &[Inherited], above: Plan) -> Result<Plan, FileError> {
    let room = MAX_LAYERS.saturating_sub(above.layers.len());
    let apart = if inherited.len() > room { room.saturating_sub(1) } else { inherited.len() };
    let (apart, together) = inherited.split_at_checked(apart).unwrap_or((inherited, &[]));
    let mut layers = Vec::new();
    for layer in apart {
        let entries = derive::planned(&layer.root)?;
        layers.push(layer_plan(layer.title.clone(), entries, Some(layer.diff_id)));
    }
    let mut merged: BTreeMap<Vec<u8>, Planned> = BTreeMap::new();
    for layer in together {
        for planned in derive::planned(&layer.root)? {
            // A file may lie where a lower layer has a directory, and the other way round: one name of the two stays.
            let name = planned.entry.name();
            let other = match name.strip_suffix(b"/") {
                Some(file) => file.to_vec(),
                None => [&name, &b"/"[..]].concat(),
            };
            merged.remove(&other);
            merged.insert(name, planned);
        }
    }
    if !merged.is_empty() {
        layers.push(layer_plan("earlier additions".to_owned(), merged.into_values().collect(), None));
    }
    layers.extend(above.layers);
    Ok(Plan { layers, left_out: above.left_out })
}

fn layer_plan(title: String, entries: Vec<Planned>, expected: Option<DiffId>) -> LayerPlan {
    let size = |planned: &Planned| match planned.entry.body {
        Body::File { size } => tar::BLOCK as u64 + size + tar::padding(size) as u64,
        _ => tar::BLOCK as u64,
    };
    let bytes = entries.iter().map(size).sum::<u64>() + tar::END.len() as u64;
    LayerPlan { title, kind: LayerKind::Inherited, entries, bytes, expected }
}
