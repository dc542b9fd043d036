//! What is known while an inventory is made.

use std::collections::{BTreeMap, HashMap};

use super::{
    Options,
    collect::FactsSeed,
    glob::Glob,
    model::{Component, LeftOut},
    packages::Packages,
    paths,
    rules::{Context, Rules, Verdict},
    tree::{Meta, Tag, Tree},
};
use crate::session::model::Recording;

/// The inventory under way.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) recording: &'a Recording,
    pub(crate) options: &'a Options,
    pub(crate) rules: Rules,
    pub(crate) context: Context,
    pub(crate) tree: Tree,
    pub(crate) components: Vec<Component>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) warnings: Vec<String>,
    pub(crate) packages: Packages,
    /// ELF files that went in and whose libraries must follow.
    pub(crate) natives: Vec<Vec<u8>>,
    /// Host paths that must be there though they lie outside every environment.
    pub(crate) needs: Vec<Vec<u8>>,
    /// Source directories of editable installations.
    pub(crate) editable: Vec<Vec<u8>>,
    /// Package → component.
    pub(crate) package_components: BTreeMap<usize, usize>,
    /// Names of listed directories whose content nobody read.
    pub(crate) pending_names: Vec<(Vec<u8>, Tag)>,
    /// Prefixes of the environments, resolved.
    pub(crate) prefixes: Vec<Vec<u8>>,
}

impl Builder<'_> {
    /// The class of a file, by the table.
    pub(crate) fn classify(&self, seed: &FactsSeed<'_>) -> Verdict {
        self.rules.classify(&seed.facts(&self.context))
    }

    /// Adds a component and says its index.
    pub(crate) fn add_component(&mut self, component: Component) -> usize {
        self.components.push(component);
        self.components.len() - 1
    }

    /// Says that a file is not in.
    pub(crate) fn leave_out(&mut self, path: &[u8], verdict: &Verdict) {
        self.leave_out_because(path, verdict, verdict.text.to_string());
    }

    /// Says that a file is not in, and why.
    pub(crate) fn leave_out_because(&mut self, path: &[u8], verdict: &Verdict, why: String) {
        self.left_out.push(LeftOut { path: path.to_vec(), class: verdict.class, rule: verdict.rule.to_owned(), why });
    }

    /// A pattern of `[export] exclude` matches.
    pub(crate) fn is_excluded(&self, path: &[u8]) -> bool {
        matches_any(&self.options.excludes, path, &self.context)
    }

    /// The path lies in an environment.
    pub(crate) fn in_environment(&self, path: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| paths::below(path, prefix))
    }

    /// Python sources that went in and lie directly in a directory (resolved).
    pub(crate) fn sources_in(&self, dir: &[u8]) -> HashMap<Vec<u8>, Meta> {
        self.tree.files_in(dir).filter(|(name, _)| name.ends_with(b".py")).collect()
    }
}

/// Any of the patterns matches.
pub(crate) fn matches_any(globs: &[Glob], path: &[u8], context: &Context) -> bool {
    globs.iter().any(|glob| glob.matches(path, context))
}
