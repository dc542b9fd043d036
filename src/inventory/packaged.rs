//! Libraries of a language that came as packages of the system (`python3-numpy`, `r-cran-mass`): the files are the
//! package's, but their own name and version are what requirements and lock files of the language speak of.

use std::collections::BTreeMap;

use super::{
    distributions,
    model::{Component, Entry},
    paths,
};

/// R's own packages, which come with R and have its version ("Writing R Extensions", section 1.1.3: priority `base`).
pub const OF_R: [&str; 14] = [
    "base",
    "compiler",
    "datasets",
    "grDevices",
    "graphics",
    "grid",
    "methods",
    "parallel",
    "splines",
    "stats",
    "stats4",
    "tcltk",
    "tools",
    "utils",
];

/// The libraries whose metadata lies among `entries` and belongs to a loaded package of the system, in order.
pub(crate) fn libraries(entries: &BTreeMap<Vec<u8>, Entry>, components: &[Component]) -> Vec<Component> {
    let by_system = |entry: &Entry| {
        let owner = entry.component.and_then(|index| components.get(index));
        owner.is_some_and(|owner| owner.loaded && !["pypi", "conda", "cran"].contains(&owner.kind.as_str()))
    };
    let mut found: Vec<Component> = entries
        .iter()
        .filter(|(path, entry)| is_metadata(path) && by_system(entry))
        .filter_map(|(path, entry)| {
            let original = entry.original.clone().unwrap_or_else(|| [b"/", path.as_slice()].concat());
            let mut component = distributions::at(&original)?.component;
            if component.kind == "cran" && OF_R.contains(&component.name.as_str()) {
                return (component.name == "base").then(|| Component {
                    kind: "generic".to_owned(),
                    name: "R".to_owned(),
                    version: component.version,
                    licence: component.licence,
                    loaded: true,
                    ..Component::default()
                });
            }
            component.loaded = true;
            Some(component)
        })
        .collect();
    found.sort_by(|a, b| (&a.kind, &a.name, &a.version).cmp(&(&b.kind, &b.name, &b.version)));
    found.dedup_by(|a, b| (&a.kind, &a.name, &a.version) == (&b.kind, &b.name, &b.version));
    // An environment's own copy of it is what was meant.
    found.retain(|one| !components.iter().any(|known| (&known.kind, &known.name) == (&one.kind, &one.name)));
    found
}

fn is_metadata(path: &[u8]) -> bool {
    let dir = paths::parent(path);
    match paths::name(path) {
        b"METADATA" => dir.ends_with(b".dist-info"),
        b"PKG-INFO" => dir.ends_with(b".egg-info"),
        b"DESCRIPTION" => true,
        name => name.ends_with(b".egg-info"),
    }
}
