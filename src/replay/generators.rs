//! Who draws random numbers: during a replay the kernel tells, with each execution, the state of the generators that a
//! whole session shares. Library functions that draw from them (`make_circles`, `GaussianMixture`) name nothing random.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{lineage::gives_seed, verdict::Judged};
use crate::session::model::{Execution, Recording, Status};

/// The name of the `user_expressions` entry.
const NAME: &str = "nbpack generators";

/// A word `generator:state` for each generator whose module is loaded. It draws nothing and binds no name.
const EXPRESSION: &str = concat!(
    "(lambda modules, crc32: ' '.join('%s:%08x' % (name, crc32(repr(state(modules[name])).encode())) ",
    "for name, state in (('random', lambda m: m.getstate()), ('numpy.random', lambda m: [",
    "(key, value.tobytes() if hasattr(value, 'tobytes') else value) ",
    "for key, value in m.get_state(legacy=False)['state'].items()]), ",
    "('torch', lambda m: m.get_rng_state().numpy().tobytes())) if name in modules))",
    "(__import__('sys').modules, __import__('zlib').crc32)",
);

/// Asks for the states, in a request of the replay; other languages have no such question.
pub(super) fn ask(recording: &Recording, execution: &Execution, request: &mut serde_json::Map<String, Value>) {
    if !recording.info.language.eq_ignore_ascii_case("python") || execution.silent {
        return;
    }
    let expressions = request.entry("user_expressions").or_insert_with(|| serde_json::json!({}));
    if let Some(expressions) = expressions.as_object_mut() {
        expressions.insert(NAME.to_owned(), EXPRESSION.into());
    }
}

/// For each execution of the recording the generators whose state its counterpart changed and that nothing had given a
/// seed before.
pub(super) fn drawn(recorded: &Recording, replayed: &Recording, judged: &[Judged]) -> BTreeMap<i64, Vec<String>> {
    let counterpart: BTreeMap<i64, i64> = judged.iter().filter_map(|j| Some((j.replayed?, j.recorded))).collect();
    // A cell that failed may have failed before it gave the seed.
    let seeds = |execution: &&Execution| gives_seed(&execution.code) && execution.status != Some(Status::Error);
    let seeded = recorded.executions.iter().find(seeds).map(|execution| execution.id);
    let mut found = BTreeMap::new();
    let mut before: BTreeMap<String, String> = BTreeMap::new();
    for execution in &replayed.executions {
        let Some(states) = states(&execution.user_expressions) else { continue };
        let changed: BTreeSet<&String> = states
            .iter()
            .filter(|(name, state)| before.get(*name).is_some_and(|then| then != *state))
            .map(|(name, _)| name)
            .collect();
        if let Some(id) = counterpart.get(&execution.id)
            && seeded.is_none_or(|seeded| *id < seeded)
            && !changed.is_empty()
        {
            found.insert(*id, changed.into_iter().cloned().collect());
        }
        before.extend(states);
    }
    found
}

/// What the kernel answered: `'random:01234567 numpy.random:89abcdef'`, as Python shows a string.
fn states(expressions: &Value) -> Option<BTreeMap<String, String>> {
    let text = expressions.get(NAME)?.pointer("/data/text~1plain")?.as_str()?;
    let word = |word: &str| word.rsplit_once(':').map(|(name, state)| (name.to_owned(), state.to_owned()));
    Some(text.trim_matches(['\'', '"']).split_whitespace().filter_map(word).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::replay::truth::{execution, recording};

    fn session(cells: &[(&str, &str)]) -> Recording {
        let execution = |(at, (code, states)): (usize, &(&str, &str))| {
            let mut one = execution(at as i64 + 1, 0, code, vec![]);
            one.user_expressions = json!({NAME: {"status": "ok", "data": {"text/plain": format!("'{states}'")}}});
            one
        };
        recording(0, cells.iter().enumerate().map(execution).collect())
    }

    fn found(cells: &[(&str, &str)]) -> Vec<(i64, Vec<String>)> {
        let (then, now) = (session(cells), session(cells));
        let judged = crate::replay::judge(&then, &now, None, &crate::replay::Rules::default());
        drawn(&then, &now, &judged.executions).into_iter().collect()
    }

    #[test]
    fn a_cell_whose_generator_moved_drew_unless_one_before_gave_a_seed() {
        let drawn = found(&[
            ("import numpy", "random:1 numpy.random:1"),
            ("make()", "random:1 numpy.random:2"),
            ("x", "random:1 numpy.random:2"),
        ]);
        assert_eq!(drawn, [(2, vec!["numpy.random".to_owned()])]);
        assert_eq!(found(&[("a", "random:1"), ("np.random.seed(1)", "random:2"), ("make()", "random:3")]), []);
    }

    #[test]
    fn a_seed_for_one_call_is_none_for_a_generator_that_moved() {
        use crate::{
            replay::{Rules, judge, verdict::Cause},
            session::model::Output,
        };
        let ran = |score: &str| {
            let mut session = session(&[
                ("import numpy", "numpy.random:1"),
                ("x, y = split(data, random_state=0)\nmodel = Tree().fit(x, y)", "numpy.random:2"),
                ("print(model.score())", "numpy.random:2"),
            ]);
            session.executions[2].outputs.push(Output::Stream { name: "stdout".into(), text: score.into() });
            session
        };
        let verdicts = judge(&ran("0.83\n"), &ran("0.84\n"), Some(&ran("0.84\n")), &Rules::default());
        let causes = &verdicts.executions[2].causes;
        assert!(
            matches!(&causes[..], [Cause::Random { evidence }] if evidence == "numpy.random in cell 2"),
            "{causes:?}"
        );
        assert_eq!(verdicts.left_to_chance, 1, "a third replay may tell");
    }
}
