//! Which execution an execution's inputs come from: by files written and read, and by names in the code.
//!
//! Names are found by a simple look at the text (Python, R and shell assignments), so this may name one dependency too
//! many and, with `exec` or `globals()`, one too few. It is said of differences only, never used to decide a verdict.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

use super::source::{without_keywords, without_strings};
use crate::session::model::{Execution, Output, Recording, Use};

/// What one execution takes and gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// Names it binds or changes.
    pub defines: BTreeSet<String>,
    /// Of those, the ones that only an import binds: who uses them depends on this execution, but on no value of it.
    pub imports: BTreeSet<String>,
    /// Names it uses.
    pub uses: BTreeSet<String>,
    /// Files it reads.
    pub reads: BTreeSet<Vec<u8>>,
    /// Files it writes.
    pub writes: BTreeSet<Vec<u8>>,
}

/// One dependency: the execution it comes from and the names and files through which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// `Execution::id`.
    pub from: i64,
    /// Names and paths.
    pub through: Vec<String>,
}

/// The graph of a recording: for every execution its direct dependencies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lineage {
    /// What each execution takes and gives.
    pub nodes: BTreeMap<i64, Node>,
    /// Direct dependencies, nearest definer of each name and writer of each file.
    pub links: BTreeMap<i64, Vec<Link>>,
}

static DEFINES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?mx)
        ^[\ \t]*(?:async\ +)?(?:def|class)\ +(?P<def>\w+)
        | ^[\ \t]*(?:from\ +[\w.]+\ +)?import\ +(?P<import>[^\#\n]+)
        | \b(?:for|as)\ +(?P<loop>\(?[\w,\ ]+\)?)(?:\ +in\b|\ *:|\ *$|\ *,)
        | ^[\ \t]*(?P<names>[A-Za-z_.][\w.]*(?:\[[^\]\n]*\]|\.\w+)*(?:\ *,\ *\*?[A-Za-z_]\w*(?:\[[^\]\n]*\])?)*)\ *
            (?::\ *[\w\[\],.\ ]+)?(?:[-+*/%&|^@]|//|\*\*|<<|>>)?(?:=[^=]|<-|<<-)
        | (?P<walrus>\w+)\ *:=",
    )
    .ok()
});
/// A method called as a statement may change its object: `items.append(x)`, `frame.sort_values(inplace=True)`.
static MUTATES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^[ \t]*([A-Za-z_]\w*)(?:\.\w+|\[[^\]\n]*\])+ *\(").ok());
/// Methods that change their object wherever they are called: `rows = db.executemany(…)`, `model = net.fit(x, y)`.
static CHANGES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\b([A-Za-z_]\w*)\.(?:execute(?:many|script)?|partial_fit|fit|fit_transform|append|extend|insert|pop|popleft|popitem|setdefault|write|writelines|register)(?: *\()",
    )
    .ok()
});
/// Methods that draw from the generator that they are called on.
static DRAWING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\.(?:random|rand\w*|integers|choice|choices|normal|uniform|shuffle|permut\w+|poisson|binomial|exponential|gauss|bytes)\(")
        .ok()
});
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[A-Za-z_]\w*").ok());

/// What a statement at the cell's own level binds anew, whatever it was before: `a, b = …`.
static TARGETS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^([A-Za-z_]\w*(?: *, *[A-Za-z_]\w*)*) *=[^=]").ok());
/// What a loop binds before its body: `for i, (a, b) in …:`.
static LOOP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(?:async +)?for +(\(?[\w, ]+\)?) +in\b").ok());
static COMPREHENSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\s(?:async +)?for\s+(\(?[\w, ]+\)?)\s+in\b").ok());

/// Gives a random number generator that a whole session shares its seed.
static SEEDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:random\.seed|random\.set_state|setstate|manual_seed|set\.seed|set_seed|seed_everything) *\(").ok()
});
/// Draws from it.
static DRAWS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\brandom\.\w+|\btorch\.rand\w*|\b(?:rnorm|runif|rexp|rbinom|rpois|sample) *\(").ok());
/// The state of that generator, as a name that no language has.
const RANDOM_STATE: &str = "random state";

/// Whether code gives such a generator its seed.
pub(super) fn gives_seed(code: &str) -> bool {
    SEEDS.as_ref().is_some_and(|regex| regex.is_match(code))
}

const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield", "True", "False", "None", "print", "len", "range", "self", "str", "int",
    "float", "list", "dict", "set", "open", "sum", "min", "max", "function", "library", "TRUE", "FALSE", "NULL",
];

/// The names that code binds or changes, and those it uses.
pub fn names(code: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (defines, uses, _) = names_with(code, false, &mut BTreeSet::new());
    (defines, uses)
}

/// Code without the magics that run the rest of their line, or of their cell, in the notebook's own names.
fn without_timers(code: &str) -> std::borrow::Cow<'_, str> {
    static TIMERS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?m)^([ \t]*)(?:%(?:time|prun)[ \t]+|%%(?:time|prun|capture)\b[^\n]*)").ok());
    TIMERS.as_ref().map_or(std::borrow::Cow::Borrowed(code), |regex| regex.replace_all(code, "$1"))
}

/// The same for code that runs after other code has `imported` names; it adds its own, and gives them as a third. What is
/// called in an imported module (`stats.ttest_ind(x, y)`) changes no object of the notebook's. `shown`: the last statement is an
/// expression whose value the notebook shows, and what is called for its value only looks (`frame.describe()`).
fn names_with(
    whole: &str,
    shown: bool,
    imported: &mut BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    // Several statements on one line are several lines.
    let code = without_keywords(&without_strings(&without_timers(whole))).replace(';', "\n");
    let mut defines = BTreeSet::new();
    let mut own = BTreeSet::new();
    for found in DEFINES.as_ref().into_iter().flat_map(|regex| regex.captures_iter(&code)) {
        if let Some(import) = found.name("import") {
            for part in import.as_str().split(',') {
                let name = part.rsplit(" as ").next().unwrap_or(part).trim().trim_matches(['(', ')', ' ']);
                own.insert(name.split('.').next().unwrap_or(name).to_owned());
            }
        }
        for group in ["def", "loop", "names", "walrus"] {
            for target in found.name(group).map_or("", |m| m.as_str()).split(',') {
                // `frame['x'] = …` and `thing.field = …` change the object they name.
                let word = NAME.as_ref().and_then(|regex| regex.find(target));
                defines.extend(word.map(|word| word.as_str().to_owned()));
            }
        }
    }
    // What is bound anew is no module any more.
    imported.retain(|name| !defines.contains(name));
    imported.extend(own.iter().cloned());
    let last = statements(&code).into_iter().rfind(|one| !one.trim().is_empty()).unwrap_or_default();
    // Who draws for a look has moved the generator all the same.
    let looks = shown && !DRAWING.as_ref().is_some_and(|regex| regex.is_match(last));
    let looked_at = if looks { code.trim_end().len() - last.trim_end().len() } else { code.len() };
    let mutating = |regex: &'static Regex| regex.captures_iter(code.get(..looked_at).unwrap_or(&code));
    let called = MUTATES.as_ref().into_iter().flat_map(mutating);
    let changed = called.chain(CHANGES.as_ref().into_iter().flat_map(|regex| regex.captures_iter(&code)));
    let changed = changed.filter_map(|found| found.get(1)).map(|name| name.as_str().to_owned());
    defines.extend(changed.filter(|name| !imported.contains(name) && !is_module_like(name)));
    let own: BTreeSet<String> =
        own.into_iter().filter(|name| !defines.contains(name) && !KEYWORDS.contains(&name.as_str())).collect();
    defines.extend(own.iter().cloned());
    defines.retain(|name| !KEYWORDS.contains(&name.as_str()) && !name.is_empty());
    let local = comprehended(&code);
    let mut uses = BTreeSet::new();
    // Name → how deep it was bound: what a block binds is bound for the rest of that block only, for it may not have run.
    let mut bound: BTreeMap<String, usize> = BTreeMap::new();
    for statement in statements(&code) {
        let line = statement.trim_start();
        if line.trim().is_empty() {
            continue;
        }
        let depth = statement.len() - line.len();
        bound.retain(|_, at| *at <= depth);
        if line.starts_with("import ") || line.starts_with("from ") {
            for name in own.iter().filter(|name| line.contains(name.as_str())) {
                bound.entry(name.clone()).or_insert(depth);
            }
            continue;
        }
        let group = |regex: &LazyLock<Option<Regex>>| regex.as_ref().and_then(|regex| regex.captures(line)?.get(1));
        let targets = group(&TARGETS).map_or("", |targets| targets.as_str());
        let of_loop = group(&LOOP).map_or("", |targets| targets.as_str());
        // The right side is read before the left one is bound.
        let rest = line.get(targets.len()..).unwrap_or_default();
        let over = rest.split_once(" in ").filter(|_| !of_loop.is_empty());
        uses.extend(used(over.map_or(rest, |(_, over)| over), &local, &bound));
        let names = targets.split(',').chain(of_loop.trim_matches(['(', ')']).split(','));
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            bound.entry(name.to_owned()).or_insert(depth);
        }
    }
    let matches = |regex: &LazyLock<Option<Regex>>| regex.as_ref().is_some_and(|regex| regex.is_match(&code));
    if gives_seed(&code) {
        defines.insert(RANDOM_STATE.to_owned());
    } else if matches(&DRAWS) {
        uses.insert(RANDOM_STATE.to_owned());
    }
    // A shell's names stand in its texts too (`"$best"`), and so do Python's in its shell lines.
    static SHELL_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)").ok());
    let named = SHELL_NAME.as_ref().into_iter().flat_map(|regex| regex.captures_iter(whole));
    let named = named.filter_map(|found| Some(found.get(1)?.as_str().to_owned()));
    uses.extend(named.filter(|name| !bound.contains_key(name)));
    (defines, uses, own)
}

/// The logical lines: a line with open brackets goes on in the next one.
fn statements(code: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '\n' if depth == 0 => {
                found.extend(code.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(code.get(start..));
    found
}

/// Names that a comprehension binds (`[p.name for p in files]`): they live in its brackets only.
fn comprehended(code: &str) -> BTreeSet<String> {
    let found = COMPREHENSION.as_ref().into_iter().flat_map(|regex| regex.captures_iter(code));
    let targets = found.filter(|found| {
        let before = found.get(0).and_then(|found| code.get(..=found.start())).unwrap_or_default();
        bracket_depth(before) > 0
    });
    let targets = targets.filter_map(|found| Some(found.get(1)?.as_str().trim_matches(['(', ')'])));
    targets.flat_map(|targets| targets.split(',')).map(|name| name.trim().to_owned()).collect()
}

fn bracket_depth(code: &str) -> usize {
    code.chars().fold(0, |depth: usize, c| match c {
        '(' | '[' | '{' => depth + 1,
        ')' | ']' | '}' => depth.saturating_sub(1),
        _ => depth,
    })
}

/// The names that a part of a statement takes from before: neither bound above nor, in brackets, by a comprehension.
fn used(part: &str, local: &BTreeSet<String>, bound: &BTreeMap<String, usize>) -> BTreeSet<String> {
    let found = NAME.as_ref().into_iter().flat_map(|regex| regex.find_iter(part));
    let taken = found.filter(|found| {
        let before = part.get(..found.start()).unwrap_or_default();
        !before.ends_with('.')
            && !KEYWORDS.contains(&found.as_str())
            && !bound.contains_key(found.as_str())
            && (!local.contains(found.as_str()) || bracket_depth(before) == 0)
    });
    taken.map(|found| found.as_str().to_owned()).collect()
}

/// What the kernel itself reads and writes in every execution: its history, caches, pseudo-files.
pub(super) fn is_kernels_own(path: &[u8]) -> bool {
    let within = |part: &str| path.windows(part.len()).any(|window| window == part.as_bytes());
    ["/.ipython/", "/profile_default/history.sqlite", "/.cache/", "/__pycache__/", "/.config/matplotlib/"]
        .into_iter()
        .any(within)
        || ["/proc/", "/dev/", "/sys/"].iter().any(|place| path.starts_with(place.as_bytes()))
}

/// Names under which modules are imported everywhere: calling into them changes no object of the notebook's.
fn is_module_like(name: &str) -> bool {
    matches!(
        name,
        "np" | "pd"
            | "plt"
            | "sns"
            | "os"
            | "sys"
            | "re"
            | "json"
            | "time"
            | "random"
            | "math"
            | "warnings"
            | "logging"
            | "shutil"
            | "subprocess"
            | "torch"
            | "tf"
            | "pl"
            | "px"
            | "go"
            | "sm"
            | "sp"
            | "ax"
            | "fig"
    )
}

impl Lineage {
    /// Looks at a recording.
    pub fn of(recording: &Recording) -> Self {
        let mut lineage = Self::default();
        let mut imported = BTreeSet::new();
        for execution in &recording.executions {
            let shown = execution.outputs.iter().any(|output| matches!(output, Output::ExecuteResult { .. }));
            let (defines, uses, imports) = names_with(&execution.code, shown, &mut imported);
            lineage.nodes.insert(execution.id, Node { defines, imports, uses, ..Node::default() });
        }
        for file in recording.files.iter().filter(|file| !is_kernels_own(&file.path)) {
            let Some(node) = file.execution.and_then(|id| lineage.nodes.get_mut(&id)) else { continue };
            match file.usage {
                Use::Read | Use::Exec | Use::RenameFrom => drop(node.reads.insert(file.path.clone())),
                Use::Write | Use::RenameTo => drop(node.writes.insert(file.path.clone())),
                Use::Update => {
                    node.reads.insert(file.path.clone());
                    node.writes.insert(file.path.clone());
                }
                Use::List | Use::Absent | Use::Remove | Use::RemoveDirectory | Use::RenameDirectory => {}
            }
        }
        lineage.link(&recording.executions);
        lineage
    }

    fn link(&mut self, executions: &[Execution]) {
        let mut definer: BTreeMap<&str, i64> = BTreeMap::new();
        let mut writer: BTreeMap<&[u8], i64> = BTreeMap::new();
        for execution in executions {
            let Some(node) = self.nodes.get(&execution.id) else { continue };
            let mut from: BTreeMap<i64, Vec<String>> = BTreeMap::new();
            for name in &node.uses {
                if let Some(id) = definer.get(name.as_str()) {
                    from.entry(*id).or_default().push(name.clone());
                }
            }
            for path in &node.reads {
                if let Some(id) = writer.get(path.as_slice()) {
                    from.entry(*id).or_default().push(String::from_utf8_lossy(path).into_owned());
                }
            }
            let links = from.into_iter().map(|(from, through)| Link { from, through }).collect();
            self.links.insert(execution.id, links);
            definer.extend(node.defines.iter().map(|name| (name.as_str(), execution.id)));
            writer.extend(node.writes.iter().map(|path| (path.as_slice(), execution.id)));
        }
    }

    /// All executions that this one depends on, directly or not, in order.
    pub fn ancestors(&self, id: i64) -> BTreeSet<i64> {
        self.behind(id, |_| true)
    }

    /// Those among them from which a value or a file came, and not only an imported name.
    pub fn ancestors_by_value(&self, id: i64) -> BTreeSet<i64> {
        self.behind(id, |link| {
            let imports = self.nodes.get(&link.from).map(|node| &node.imports);
            !link.through.iter().all(|name| imports.is_some_and(|imports| imports.contains(name)))
        })
    }

    fn behind(&self, id: i64, counts: impl Fn(&Link) -> bool) -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            for link in self.links.get(&id).into_iter().flatten().filter(|link| counts(link)) {
                if link.from != id && found.insert(link.from) {
                    open.push(link.from);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_a_loop_binds_is_bound_in_it_and_an_import_gives_no_value() {
        let code =
            "from random import uniform\nfor i in range(n):\n    m, s = uniform(i, k), 1\n    print(i, m, s)\nprint(m)";
        assert_eq!(names(code).1, set(&["k", "m", "n"]));
        assert_eq!(names("for i in i:\n    pass").1, set(&["i"]), "what it runs over is read first");
        let mut recorded = crate::replay::truth::recording(0, Vec::new());
        for (id, code) in [(1, "from scipy.stats import norm\nx = norm.rvs()"), (2, "norm.rvs()"), (3, "x + 1")] {
            recorded.executions.push(crate::replay::truth::execution(id, 0, code, Vec::new()));
        }
        let lineage = Lineage::of(&recorded);
        assert_eq!((lineage.ancestors(2).len(), lineage.ancestors_by_value(2).len()), (1, 0));
        assert_eq!(lineage.ancestors_by_value(3), [1].into());
    }

    #[test]
    fn names_that_are_bound_and_changed_are_found() {
        let code = "import numpy as np, os.path; k = 1\nfrom a import (b, c)\nx, y = f(1)\ndf['k'] = x\nitems.append(z)\n\
                    for i, j in pairs:\n    total += i\nwith open(p) as fh: pass\ndef g(q): return q\n# w = 1\ns = 'v = 2'";
        let (defines, uses) = names(code);
        assert_eq!(
            defines,
            set(&["np", "os", "k", "b", "c", "x", "y", "df", "items", "i", "j", "total", "fh", "g", "s"])
        );
        assert!(uses.is_superset(&set(&["f", "z", "pairs", "p"])));
        assert!(!uses.contains("x") && !uses.contains("w") && !uses.contains("v") && !uses.contains("append"));
    }

    #[test]
    fn names_in_the_texts_of_a_shell_are_used() {
        let (defines, _) = names("best=$(sort scores.txt | head -1)");
        let (_, uses) = names("IFS=';' read -r who points <<< \"$best\"\necho \"${who} of $day\"");
        assert!(defines.contains("best") && uses.is_superset(&set(&["best", "day"])), "{defines:?} {uses:?}");
    }

    #[test]
    fn what_a_timed_line_or_cell_binds_is_bound() {
        let (defines, uses) = names("%time model = fit(frame)\nmodel.score(x)");
        assert!(defines.contains("model") && uses.contains("frame") && !uses.contains("time"), "{defines:?} {uses:?}");
        let (defines, uses) = names("%%time\nrows = load(path)");
        assert!(defines.contains("rows") && uses == set(&["load", "path"]), "{uses:?}");
    }

    #[test]
    fn names_of_a_comprehension_and_names_bound_anew_are_not_taken_from_before() {
        let (_, uses) = names("df = load(path)\ndf.head()\nsorted(p.name for p in files)\n{k: v\n for k, v in old}");
        assert_eq!(uses, set(&["load", "path", "sorted", "files", "old"]));
        let (_, uses) = names("df = df.dropna()\ntotal += n\nif flag:\n    x = 1\nprint(x, p)");
        assert_eq!(uses, set(&["df", "total", "n", "flag", "x", "p"]), "perhaps bound, perhaps not");
    }

    #[test]
    fn numbers_that_are_drawn_come_from_the_cell_that_gave_the_seed() {
        let mut imported = BTreeSet::new();
        names_with("from scipy import stats\nimport state", false, &mut imported);
        let (defines, ..) = names_with("t = stats.ttest_ind(x, y); items.sort(); state = load()", false, &mut imported);
        assert_eq!(
            defines,
            ["items", "state", "t"].map(str::to_owned).into(),
            "a module is not changed by a call into it"
        );
        assert!(
            names_with("state.update(x)", false, &mut imported).0.contains("state"),
            "it is an object of the notebook's now"
        );
        let (defines, _) = names("import random\nrandom.seed(3); np.random.seed(3)");
        let (_, uses) = names("x = np.random.rand(3)");
        assert!(defines.contains(RANDOM_STATE) && uses.contains(RANDOM_STATE), "{defines:?} {uses:?}");
        assert!(!names("rng.random(3)").1.contains(RANDOM_STATE), "a generator of its own is a name of its own");
    }

    #[test]
    fn a_last_expression_that_is_shown_only_looks() {
        let changed = |code: &str, shown: bool| names_with(code, shown, &mut BTreeSet::new()).0;
        assert_eq!(changed("meters['kwh'].describe().round(2)", true), set(&[]));
        assert_eq!(changed("items.sort()\nframe.groupby(\n    'a'\n).mean()\n", true), set(&["items"]));
        assert_eq!(changed("items.append(3)", false), set(&["items"]), "it gives None, which is not shown");
        assert_eq!(changed("model.fit(x, y)", true), set(&["model"]));
        assert_eq!(changed("rng.normal(3)", true), set(&["rng"]), "the generator has moved");
    }

    #[test]
    fn the_letter_before_a_string_is_no_name() {
        let (_, uses) = names("print(f'{x:.3f}', rb\"raw\", t\"{y!r:>{width}}\")\ng(z, 1e5, 0x1F)\nwrite_f = deaf");
        assert_eq!(uses, set(&["x", "y", "width", "g", "z", "deaf"]));
        let (_, uses) = names("f'{{no}} {day:%Y-%m-%d} {d[\"key\"]} {a[1:n]}'");
        assert_eq!(uses, set(&["day", "d", "a", "n"]));
    }

    #[test]
    fn keyword_arguments_are_no_names_of_the_notebook() {
        let code = "plot(\n    x,\n    color=c, alpha = 0.5,\n    data=df[key == name],\n)\nf(a == b, größe=1)";
        let (defines, uses) = names(code);
        assert_eq!(defines, set(&[]));
        assert_eq!(uses, set(&["plot", "x", "c", "df", "key", "name", "f", "a", "b"]));
    }

    #[test]
    fn a_comparison_binds_nothing_and_an_f_string_uses_names() {
        let (defines, uses) = names("x == 3\nprint(f'{value:.2f} of {total}')\nf(key=1)");
        assert_eq!(defines, set(&[]));
        assert!(uses.contains("value") && uses.contains("total"), "{uses:?}");
    }
}
