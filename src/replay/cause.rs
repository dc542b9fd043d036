//! Why executions differ, found in what both recordings saw: digests of inputs, versions, environment, machine,
//! network, and which executions depend on which.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::LazyLock,
};

use regex::Regex;
use serde_json::Value;

use super::{
    generators,
    inputs::changed_inputs,
    library,
    lineage::Lineage,
    source::{without_strings, words},
    verdict::{Cause, Judged, Verdict, Verdicts},
};
use crate::session::model::{Execution, Recording, Status, Use};

/// Variables that differ between any two starts of a kernel and explain nothing.
const IDLE_VARIABLES: &[&str] = &[
    "HOME",
    "PWD",
    "OLDPWD",
    "USER",
    "LOGNAME",
    "SHLVL",
    "_",
    "TERM",
    "COLUMNS",
    "LINES",
    "HOSTNAME",
    "MAIL",
    "SHELL",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "JPY_SESSION_NAME",
    "JPY_PARENT_PID",
    "JPY_API_TOKEN",
    "TMPDIR",
    "CLICOLOR",
    "PAGER",
    "GIT_PAGER",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "MPLBACKEND",
    "PYDEVD_USE_FRAME_EVAL",
    "TZDIR",
];
/// Facts of the machine that can change a result.
const MACHINE: &[&str] = &["cpu.flags", "cpu.count", "cpu.model", "gpu", "blas", "threads"];
/// At most this many causes of one kind for one execution: the rest says the same.
const MOST: usize = 5;

static RANDOM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\b(?:random\w*|rand\w*|randn|randint|shuffle|sample|choice|choices|uuid[14]|token_\w+|urandom|default_rng|normal|uniform|train_test_split|KMeans|RandomForest\w+|TSNE|bootstrap|rnorm|runif|rvs|SystemRandom|secrets|RANDOM)\b",
    )
    .ok()
});
static CLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:time\.\w+|perf_counter|monotonic|now|today|utcnow|ctime|strftime|Sys\.time|date|timeit)\b").ok()
});
static SEEDED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:seed|default_rng|RandomState|manual_seed|PRNGKey)\( *[^) ]|\brandom_state *= *\d|set\.seed\(")
        .ok()
});
static CLOCK_SEED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:seed|default_rng|RandomState|Random|manual_seed|PRNGKey|set\.seed)\((?:int\()?[^\n)]*\b(?:time|now|time_ns|monotonic\w*|perf_counter\w*|Sys\.time)\(").ok()
});
static DIST_INFO: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"/([A-Za-z0-9_.]+)-([0-9][^/-]*)\.(?:dist-info|egg-info)(?:/|$)").ok());

/// What is known beside the two recordings.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Libraries that two software lists have in different versions.
    pub libraries: Vec<Cause>,
    /// Paths of the bundle in whose place a person put something else for the replay.
    pub replaced: Vec<PathBuf>,
    /// The recording's software list: names and versions of libraries.
    pub versions: BTreeMap<String, String>,
}

/// Writes into each execution that does not agree why that is, as far as the recordings show.
///
/// `order` has the places (in the judged executions) before which other cells ran, or the same in another order.
pub fn explain(
    recorded: &Recording,
    replayed: &Recording,
    order: &BTreeSet<usize>,
    known: &Known,
    verdicts: &mut Verdicts,
) {
    let lineage = Lineage::of(recorded);
    let numbers: BTreeMap<i64, usize> = verdicts.executions.iter().map(|j| (j.recorded, j.number)).collect();
    let inputs = changed_inputs(recorded, replayed, &verdicts.executions);
    let libraries = library::changed(recorded, replayed, known);
    let drawn = generators::drawn(recorded, replayed, &verdicts.executions);
    let variables = environment(recorded, replayed);
    let machine = machine(recorded, replayed);
    // Where in the replay each execution ran.
    let ran: BTreeMap<i64, usize> = replayed.executions.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
    let placed = |one: &Judged| Some((one.recorded, *ran.get(&one.replayed?)?));
    let places: BTreeMap<i64, usize> = verdicts.executions.iter().filter_map(placed).collect();
    let codes = |recording: &Recording| -> BTreeMap<i64, String> {
        recording.executions.iter().map(|execution| (execution.id, execution.code.clone())).collect()
    };
    let (then, now) = (codes(recorded), codes(replayed));
    let with_error = |execution: &&Execution| execution.status == Some(Status::Error);
    let failed: BTreeSet<i64> = recorded.executions.iter().filter(with_error).map(|one| one.id).collect();
    let mut differing: BTreeSet<i64> = BTreeSet::new();
    // Those that vary by themselves: what builds on them has changed because of them only where nothing else did it.
    let mut varying: BTreeSet<i64> = BTreeSet::new();
    for judged in &mut verdicts.executions {
        let other_code = judged.replayed.is_some_and(|id| now.get(&id) != then.get(&judged.recorded));
        if judged.verdict.agrees() && judged.verdict != Verdict::Nondeterministic {
            if other_code {
                // It shows the same, and what follows from it may not.
                differing.insert(judged.recorded);
            }
            continue;
        }
        let ancestors = lineage.ancestors(judged.recorded);
        let mut causes = Vec::new();
        if other_code {
            causes.push(Cause::Code);
        }
        let behind: Vec<i64> = std::iter::once(judged.recorded).chain(ancestors.iter().copied()).collect();
        let read_by = |id: &i64| {
            let read_in = numbers.get(id).copied().filter(|number| *number != judged.number);
            inputs.get(id).into_iter().flatten().map(move |input| input.cause(read_in))
        };
        causes.extend(read_by(&judged.recorded).take(MOST));
        // What the cell itself asks for says more than what another one made of it.
        let own_code = then.get(&judged.recorded).map(String::as_str).unwrap_or_default();
        let asked = |cause: &&Cause| matches!(cause, Cause::Environment { name, .. } if obeys(own_code, name));
        causes.extend(variables.iter().filter(asked).take(MOST).cloned());
        if asks_for_processors(own_code) && shows_processors(recorded, replayed, judged) {
            causes.extend(machine.iter().cloned());
        }
        let by_value = lineage.ancestors_by_value(judged.recorded);
        let downstream = |of: &i64| Cause::Downstream {
            of: numbers.get(of).copied().unwrap_or_default(),
            through: path_from(&lineage, judged.recorded, *of),
        };
        // What ran later in the replay has given it nothing.
        let ran_later = |of: &&i64| places.get(*of).zip(places.get(&judged.recorded)).is_some_and(|(of, it)| of > it);
        let upstream = by_value.intersection(&differing).find(|of| !ran_later(of));
        let unsteady = by_value.intersection(&varying).next().filter(|_| upstream.is_none()).map(downstream);
        let only_varies = judged.verdict == Verdict::Nondeterministic;
        causes.extend(upstream.map(downstream).or_else(|| unsteady.clone().filter(|_| only_varies)));
        let read_before =
            ancestors.iter().flat_map(read_by).filter(|cause| !causes.contains(cause)).collect::<Vec<_>>();
        causes.extend(read_before.into_iter().take(MOST));
        causes.dedup();
        let execution = recorded.executions.iter().find(|e| e.id == judged.recorded);
        let own = execution.map(|execution| sources(recorded, execution, judged, &drawn)).unwrap_or_default();
        if judged.verdict == Verdict::NotRun {
            // Nothing came out that a library or a variable could have changed.
            judged.causes = causes.into_iter().chain(own).collect();
            continue;
        }
        let joined = |ids: &mut dyn Iterator<Item = &i64>| {
            ids.filter_map(|id| then.get(id)).fold(String::new(), |all, code| all + code + "\n")
        };
        let text = joined(&mut behind.iter());
        // A cell that failed may have failed before it gave the seed.
        let seeded = is_seeded(&joined(&mut behind.iter().filter(|id| !failed.contains(id))));
        if causes.is_empty() {
            causes = conditions(recorded, judged, (&behind, &text), &libraries, &variables, own);
            let known = |cause: &Cause| matches!(cause, Cause::Library { .. } | Cause::Environment { .. });
            let at = causes.iter().position(|cause| !known(cause)).unwrap_or(causes.len());
            causes.splice(at..at, unsteady);
            if order.contains(&judged.number) {
                // A generator that had a seed gives the same numbers in the same order.
                let first = match causes.first() {
                    // Ids that are drawn are told apart from what is judged.
                    Some(Cause::Random { evidence }) => seeded || evidence.starts_with("uuid"),
                    first => matches!(first, Some(Cause::Clock { .. })),
                };
                causes.insert(if first { 0 } else { causes.len() }, Cause::Order);
            }
            let late = variables.iter().filter(|cause| !causes.contains(cause)).cloned().collect::<Vec<_>>();
            if causes.is_empty() {
                causes.extend(machine.iter().cloned());
                causes.extend(random_function(recorded, &ancestors));
                if causes.is_empty() {
                    causes.extend(random_behind(recorded, &ancestors, &numbers, &drawn, seeded));
                }
                if causes.is_empty() && makes_sets(&without_strings(&text)) {
                    causes.push(Cause::SetOrder);
                }
            } else if seeded && matches!(causes.first(), Some(Cause::Random { .. }))
                || shows_processors(recorded, replayed, judged)
            {
                // Seeded numbers are the same again, and the two counts of processors stand there: then the machine comes first.
                causes.splice(0..0, machine.iter().cloned());
            }
            if causes.is_empty() {
                causes.extend(late.into_iter().take(MOST));
            }
        } else {
            causes.extend(own);
        }
        if only_varies {
            varying.insert(judged.recorded);
        } else {
            differing.insert(judged.recorded);
        }
        judged.causes = causes;
    }
}

/// Whether code asks how many processors there are, or lets a library ask.
fn asks_for_processors(code: &str) -> bool {
    static ASKS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"cpu_count|getaffinity|n_jobs|num_threads|detectCores|\bnproc\b").ok());
    ASKS.as_ref().is_some_and(|regex| regex.is_match(code))
}

/// Whether a word of a line that differs is the number of processors on both sides, and another one on each.
fn shows_processors(recorded: &Recording, replayed: &Recording, judged: &Judged) -> bool {
    let count = |recording: &Recording| recording.facts.get("cpu.count").and_then(Value::as_u64);
    let (Some(then), Some(now)) = (count(recorded), count(replayed)) else { return false };
    let words = |line: &str| -> Vec<Option<u64>> {
        line.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| word.parse().ok()).collect()
    };
    then != now
        && judged.differences.iter().any(|one| {
            let (a, b) = (words(&one.recorded), words(&one.replayed));
            a.len() == b.len() && a.iter().zip(&b).any(|pair| pair == (&Some(then), &Some(now)))
        })
}

/// Causes that lie in the conditions of the run and that the code of an execution, or of those it depends on, shows to
/// matter to it; then what it reads itself that is never the same twice.
fn conditions(
    recorded: &Recording,
    judged: &Judged,
    (behind, text): (&[i64], &str),
    libraries: &[Cause],
    variables: &[Cause],
    own: Vec<Cause>,
) -> Vec<Cause> {
    if judged.verdict == Verdict::Nondeterministic && !own.is_empty() {
        return own;
    }
    let mut causes = library::behind(recorded, behind, text, libraries);
    causes.extend(reaching(text, variables));
    causes.extend(own);
    causes
}

/// Those of the changed variables that the code names, then those that libraries obey whatever it says.
pub(super) fn reaching(text: &str, variables: &[Cause]) -> Vec<Cause> {
    let named = |cause: &&Cause| matches!(cause, Cause::Environment { name, .. } if names_word(text, name));
    let mut causes: Vec<Cause> = variables.iter().filter(named).take(MOST).cloned().collect();
    let steering = |cause: &&Cause| matches!(cause, Cause::Environment { name, .. } if steers(name));
    let more: Vec<Cause> =
        variables.iter().filter(steering).filter(|cause| !causes.contains(cause)).take(MOST).cloned().collect();
    causes.extend(more);
    causes
}

/// Whether code names something that draws random numbers.
pub(super) fn names_random(code: &str) -> bool {
    RANDOM.as_ref().is_some_and(|regex| regex.is_match(&without_strings(code)))
}

/// Whether a text has this as a whole word.
pub(super) fn names_word(text: &str, word: &str) -> bool {
    words(text).any(|found| found == word)
}

/// Whether code itself asks for a variable: by its name, or by a function whose answer hangs on it.
fn obeys(code: &str, name: &str) -> bool {
    static LOCAL_TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"\b(?:localtime|fromtimestamp|tzname|mktime|ctime|astimezone|tzset)\b|\bdate\b").ok()
    });
    names_word(code, name)
        || name == "PYTHONHASHSEED" && code.contains("hash(")
        || name == "TZ" && LOCAL_TIME.as_ref().is_some_and(|regex| regex.is_match(code))
}

/// Whether libraries are known to obey this variable, whatever the code says.
fn steers(name: &str) -> bool {
    ["PYTHON", "OMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "NUMBA_", "CUDA_", "LC_", "R_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(name, "TZ" | "LANG" | "LD_LIBRARY_PATH" | "LD_PRELOAD")
}

/// Whether code makes a set: by its name, as a comprehension, or with braces whose first item is no pair.
fn makes_sets(text: &str) -> bool {
    static SET: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\b(?:frozen)?set\(|\{[^{}:,]*(?:,|\sfor\s)").ok());
    SET.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// Whether code gives its random numbers a seed.
fn is_seeded(text: &str) -> bool {
    SEEDED.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// Random numbers drawn in a function that an earlier execution defined.
fn random_function(recorded: &Recording, ancestors: &BTreeSet<i64>) -> Option<Cause> {
    let functions = recorded.executions.iter().rev().filter(|execution| ancestors.contains(&execution.id));
    functions.map(|execution| without_strings(&execution.code)).find_map(|code| {
        let defines = ["def ", "lambda", "function("].iter().any(|word| code.contains(word));
        let found = RANDOM.as_ref().filter(|_| defines)?.find(&code)?;
        Some(Cause::Random { evidence: found.as_str().to_owned() })
    })
}

/// Random numbers that an earlier execution drew, and that no output showed there. A seed that some of the code is given says
/// nothing of a generator whose state was seen to move without one.
fn random_behind(
    recorded: &Recording,
    ancestors: &BTreeSet<i64>,
    numbers: &BTreeMap<i64, usize>,
    drawn: &BTreeMap<i64, Vec<String>>,
    seeded: bool,
) -> Option<Cause> {
    let mut before = recorded.executions.iter().rev().filter(|execution| ancestors.contains(&execution.id));
    before.find_map(|execution| {
        let number = numbers.get(&execution.id)?;
        let code = without_strings(&execution.code);
        let named = RANDOM.as_ref().filter(|_| !seeded).and_then(|regex| regex.find(&code));
        let evidence =
            named.map(|found| found.as_str().to_owned()).or_else(|| drawn.get(&execution.id)?.first().cloned())?;
        Some(Cause::Random { evidence: format!("{evidence} in cell {number}") })
    })
}

/// The names through which `to` depends on `from`, first step only.
fn path_from(lineage: &Lineage, to: i64, from: i64) -> Vec<String> {
    let links = lineage.links.get(&to).into_iter().flatten();
    let mut through: Vec<String> = links
        .filter(|link| link.from == from || lineage.ancestors(link.from).contains(&from))
        .flat_map(|link| link.through.iter().cloned())
        .collect();
    through.truncate(MOST);
    through
}

/// What the execution itself reads that is never the same twice.
fn sources(
    recording: &Recording,
    execution: &Execution,
    judged: &Judged,
    drawn: &BTreeMap<i64, Vec<String>>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let connections = recording.connections.iter().filter(|connection| connection.execution == Some(execution.id));
    let mut addresses: Vec<String> =
        connections.map(|connection| connection.address.clone()).filter(|address| !is_local(address)).collect();
    if addresses.is_empty() && matches!(judged.verdict, Verdict::Changed | Verdict::Error) {
        // A server on the recorder's own machine is not on this one.
        let own = recording.connections.iter().filter(|connection| connection.execution == Some(execution.id));
        addresses.extend(own.map(|one| one.address.clone()).filter(|address| address.starts_with("tcp:")));
    }
    addresses.truncate(MOST);
    if !addresses.is_empty() {
        causes.push(Cause::Network { addresses });
    }
    let code = without_strings(&execution.code);
    let find = |regex: &LazyLock<Option<Regex>>| {
        regex.as_ref().and_then(|regex| regex.find(&code)).map(|found| found.as_str().to_owned())
    };
    let reads_device = recording.files.iter().any(|file| {
        file.execution == Some(execution.id) && matches!(file.path.as_slice(), b"/dev/urandom" | b"/dev/random")
    });
    // A seed that is read from a clock leaves nothing to chance.
    let seeded_by_clock = find(&CLOCK_SEED).is_some();
    if seeded_by_clock {
        // The clock is named below.
    } else if let Some(evidence) = find(&RANDOM) {
        causes.push(Cause::Random { evidence });
    } else if reads_device {
        causes.push(Cause::Random { evidence: "opens /dev/urandom".to_owned() });
    } else if let Some(generator) = drawn.get(&execution.id).and_then(|all| all.first()) {
        causes.push(Cause::Random { evidence: format!("{generator} without a seed") });
    }
    if let Some(evidence) = find(&CLOCK) {
        causes.push(Cause::Clock { evidence });
    }
    let seeded = recording.environment.get("PYTHONHASHSEED").is_some_and(|value| value.as_deref() != Some("random"));
    let sets = judged.differences.iter().any(|d| d.recorded.contains('{') && d.replayed.contains('{'));
    if !seeded && (sets || code.contains("hash(") || code.contains("set(")) {
        causes.push(Cause::HashSeed);
    }
    causes
}

/// Addresses that do not leave the machine.
pub(super) fn is_local(address: &str) -> bool {
    address.starts_with("unix:")
        || address.starts_with("tcp:127.")
        || address.starts_with("tcp:[::1]")
        || address.starts_with("tcp:::1:")
        || !address.contains(':')
}

/// The distributions whose files a session opened, with the versions in their directories' names.
pub fn observed_libraries(recording: &Recording) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(regex) = DIST_INFO.as_ref() else { return found };
    for file in recording.files.iter().filter(|file| file.usage != Use::Absent) {
        let path = String::from_utf8_lossy(&file.path);
        let parts = regex.captures(&path);
        if let Some((name, version)) = parts.and_then(|parts| Some((parts.get(1)?.as_str(), parts.get(2)?.as_str()))) {
            found.insert(name.to_ascii_lowercase().replace(['_', '.'], "-"), version.to_owned());
        }
    }
    if let Some(version) = recording.facts.get("python").and_then(|fact| {
        fact.as_str().map(ToOwned::to_owned).or_else(|| Some(fact.get("version")?.as_str()?.to_owned()))
    }) {
        found.insert("python".to_owned(), version);
    }
    found
}

/// Libraries that both sessions loaded in other versions.
pub(super) fn libraries(recorded: &Recording, replayed: &Recording) -> Vec<Cause> {
    let (then, now) = (observed_libraries(recorded), observed_libraries(replayed));
    then.iter()
        .filter_map(|(name, version)| {
            let other = now.get(name).filter(|other| *other != version)?;
            let (recorded, replayed) = (Some(version.clone()), Some(other.clone()));
            Some(Cause::Library { name: name.clone(), recorded, replayed })
        })
        .collect()
}

/// Whether a variable differs between any two starts of a kernel and explains nothing.
pub(super) fn is_idle(name: &str) -> bool {
    IDLE_VARIABLES.contains(&name)
        || ["JUPYTER", "NBPACK", "LC_TERMINAL", "SSH_", "VSCODE"].iter().any(|prefix| name.starts_with(prefix))
}

/// Variables of the kernel's environment that differ and can matter.
pub fn environment(recorded: &Recording, replayed: &Recording) -> Vec<Cause> {
    let recording_of = (recorded, replayed);
    let names: BTreeSet<&String> = recorded.environment.keys().chain(replayed.environment.keys()).collect();
    let value = |recording: &Recording, name: &str| recording.environment.get(name).cloned().flatten();
    names
        .into_iter()
        .filter(|name| !is_idle(name))
        .filter_map(|name| {
            let (recorded, replayed) = (value(recorded, name), value(replayed, name));
            // A name without value was kept back by its recording: what it was there is not known.
            let kept_back =
                |recording: &Recording| recording.environment.get(name.as_str()).is_some_and(Option::is_none);
            let known =
                (recorded.is_some() || replayed.is_some()) && !kept_back(recording_of.0) && !kept_back(recording_of.1);
            (known && recorded != replayed && !is_pin(recording_of, name, recorded.as_deref(), replayed.as_deref()))
                .then(|| Cause::Environment { name: name.clone(), recorded, replayed })
        })
        .collect()
}

/// Whether a replay set this variable itself, for libraries to compute as on the recorded machine: then the machine is
/// what differs.
fn is_pin(of: (&Recording, &Recording), name: &str, recorded: Option<&str>, replayed: Option<&str>) -> bool {
    let (Some(value), None) = (replayed, recorded) else { return false };
    let fact = |name: &str| (of.0.facts.get(name), of.1.facts.get(name));
    let (flags, count) = (fact("cpu.flags"), fact("cpu.count"));
    match name {
        "OMP_NUM_THREADS" | "OPENBLAS_NUM_THREADS" | "MKL_NUM_THREADS" | "POLARS_MAX_THREADS" => {
            count.0 != count.1 && count.0.and_then(Value::as_u64) == value.parse().ok()
        }
        "OPENBLAS_CORETYPE" | "MKL_ENABLE_INSTRUCTIONS" | "NPY_DISABLE_CPU_FEATURES" => flags.0 != flags.1,
        _ => false,
    }
}

/// Words of a list, whether it is kept as text or as an array.
pub(super) fn flags(fact: &Value) -> BTreeSet<String> {
    match fact {
        Value::String(text) => text.split_whitespace().map(ToOwned::to_owned).collect(),
        Value::Array(items) => items.iter().filter_map(|item| item.as_str()).map(ToOwned::to_owned).collect(),
        other => BTreeSet::from([other.to_string()]),
    }
}

/// Facts about the machine that differ and can matter.
pub fn machine(recorded: &Recording, replayed: &Recording) -> Vec<Cause> {
    let mut causes = Vec::new();
    for fact in MACHINE {
        let (Some(then), Some(now)) = (recorded.facts.get(*fact), replayed.facts.get(*fact)) else { continue };
        let (x, y) = (flags(then), flags(now));
        if x == y {
            continue;
        }
        let words = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
            let mut words: Vec<&str> = these.difference(those).map(String::as_str).collect();
            words.truncate(8);
            words.join(" ")
        };
        let detail = if x.len() + y.len() > 2 {
            format!("only then: {}; only now: {}", words(&x, &y), words(&y, &x))
        } else {
            format!("{} -> {}", words(&x, &y), words(&y, &x))
        };
        causes.push(Cause::Machine { fact: (*fact).to_owned(), detail });
    }
    causes
}
