//! Which rule put each file in, as the session layer keeps it: so that a bundle can be asked too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Explanation,
    model::{Class, EnvironmentRoot, Inventory, LeftOut},
    paths, rules,
};

/// The files of an image by the rule that put them in, and what was left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of class and rule.
    pub groups: Vec<Group>,
    /// In the order of the paths.
    pub left_out: Vec<Left>,
}

/// The files that one rule put in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// What they are to the session.
    pub class: Class,
    /// The rule's name.
    pub rule: String,
    /// Where they lie in the image, without the leading slash; bytes that are not UTF-8 are replaced.
    pub paths: Vec<String>,
}

/// A file that is not in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Left {
    /// Its path on the recording machine; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What it is to the session.
    pub class: Class,
    /// The rule's name.
    pub rule: String,
    /// For a person.
    pub why: String,
}

impl Listing {
    /// What an inventory would answer.
    pub fn of(inventory: &Inventory) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut groups: BTreeMap<(Class, &str), Vec<String>> = BTreeMap::new();
        for (path, entry) in &inventory.entries {
            groups.entry((entry.class, entry.rule)).or_default().push(text(path));
        }
        let groups = groups.into_iter().map(|((class, rule), paths)| Group { class, rule: rule.to_owned(), paths });
        let left = |out: &LeftOut| Left {
            path: text(&out.path),
            class: out.class,
            rule: out.rule.clone(),
            why: out.why.clone(),
        };
        Self { groups: groups.collect(), left_out: inventory.left_out.iter().map(left).collect() }
    }

    /// Which rule put a file in, or left it out: asked by its path on the recording machine or in the image (absolute).
    pub fn explain(&self, path: &[u8], roots: &[EnvironmentRoot]) -> Option<Explanation> {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let mut wanted = vec![text(path.strip_prefix(b"/").unwrap_or(path))];
        for root in roots {
            if let Some(rest) = paths::relative(path, paths::bytes(&root.prefix)) {
                let moved = paths::join(paths::bytes(&root.canonical), rest);
                wanted.push(text(moved.strip_prefix(b"/").unwrap_or(&moved)));
            }
        }
        for group in &self.groups {
            // In order of their bytes, which is that of the inventory where all are UTF-8.
            if let Some(at) = group.paths.iter().find(|at| wanted.contains(at)) {
                return Some(Explanation {
                    class: group.class,
                    rule: group.rule.clone(),
                    text: rules::text_of(&group.rule).unwrap_or_default().to_owned(),
                    image_path: Some(at.clone().into_bytes()),
                });
            }
        }
        let path = text(path);
        let out = self.left_out.iter().find(|out| out.path == path)?;
        Some(Explanation { class: out.class, rule: out.rule.clone(), text: out.why.clone(), image_path: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::model::{Entry, EntryKind};

    #[test]
    fn a_listing_answers_as_its_inventory_does_by_both_names_of_a_file() {
        let root = EnvironmentRoot {
            role: 0,
            kind: "venv".to_owned(),
            prefix: "/home/u/env".into(),
            canonical: "/opt/nbpack/env/0".into(),
        };
        let mut inventory = Inventory { roots: vec![root], ..Inventory::default() };
        let entry = Entry {
            kind: EntryKind::Directory,
            class: Class::Distribution,
            rule: "distribution",
            component: None,
            original: Some(b"/home/u/env/lib/x.py".to_vec()),
            touched: false,
            apart: false,
        };
        inventory.entries.insert(b"opt/nbpack/env/0/lib/x.py".to_vec(), entry);
        inventory.left_out.push(LeftOut {
            path: b"/home/u/.netrc".to_vec(),
            class: Class::Private,
            rule: "private-credential".to_owned(),
            why: "why".to_owned(),
        });
        let bytes = serde_json::to_vec(&Listing::of(&inventory)).unwrap();
        let listing: Listing = serde_json::from_slice(&bytes).unwrap();
        for path in [&b"/home/u/env/lib/x.py"[..], b"/opt/nbpack/env/0/lib/x.py", b"/home/u/.netrc", b"/nothing"] {
            assert_eq!(listing.explain(path, &inventory.roots), super::super::explain(&inventory, path));
        }
        assert!(listing.explain(b"/home/u/env/lib/x.py", &inventory.roots).is_some());
    }
}
