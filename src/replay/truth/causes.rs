//! What a difference came from.

use std::collections::BTreeMap;

use serde_json::json;

use super::{NOW, SECOND, THEN, execution, judge, out, png, reads_data, recording, value};
use crate::{
    event::Nanos,
    replay::{
        Known, Rules, judge_knowing,
        verdict::{Cause, Verdict},
    },
    session::model::Output,
};

#[test]
fn a_variable_that_only_the_recorders_machine_had_is_no_cause_before_random_numbers() {
    let session = |at: Nanos, number: &str, variable: bool| {
        let code = "def draw():\n    return random.gauss(0, 1)";
        let mut session =
            recording(at, vec![execution(1, at, code, vec![]), execution(2, at, "draw()", vec![value(number)])]);
        if variable {
            session.environment.insert("VENDOR_BUNDLE".to_owned(), Some("/etc/vendor".to_owned()));
        }
        session
    };
    let verdicts = judge(&session(THEN, "0.1234", true), &session(NOW, "0.4321", false), None, &Rules::default());
    let causes = &verdicts.executions[1].causes;
    assert!(matches!(causes.as_slice(), [Cause::Random { .. }]), "{causes:?}");
}

#[test]
fn random_numbers_that_no_output_showed_are_a_cause_further_down() {
    let session = |at: Nanos, number: &str, code: &str| {
        recording(
            at,
            vec![execution(1, at, code, vec![]), execution(2, at, "model = fit(y)\nmodel.score", vec![value(number)])],
        )
    };
    let causes = |code: &str| {
        let verdicts = judge(&session(THEN, "0.1234", code), &session(NOW, "0.4321", code), None, &Rules::default());
        verdicts.executions[1].causes.clone()
    };
    let found = causes("y = x + np.random.normal(size=50)");
    assert!(matches!(found.as_slice(), [Cause::Random { evidence }] if evidence == "random in cell 1"), "{found:?}");
    assert_eq!(causes("y = x + 1"), []);
    assert_eq!(causes("y = {'a': 1, 'b': f'{x}, {x}'}"), [], "pairs and texts are no set");
    assert_eq!(causes("y = {f, g}"), [Cause::SetOrder]);
    assert_eq!(causes("y = set(functions)"), [Cause::SetOrder]);
    assert_eq!(causes("y = {1: {Op('+', add, lambda x: x), Op('-', sub)}}"), [Cause::SetOrder]);
}

#[test]
fn the_order_of_cells_and_a_seed_in_the_code_are_causes() {
    let session = |codes: &[(&str, &str)]| {
        let cells = codes.iter().enumerate().map(|(at, (code, text))| {
            let outputs = if text.is_empty() { vec![] } else { vec![out(text)] };
            execution(at as i64 + 1, THEN + at as i64 * SECOND, code, outputs)
        });
        recording(THEN, cells.collect())
    };
    let then = session(&[("x = 1", ""), ("x = x + 1", ""), ("x = x * 10", ""), ("print(x)", "20")]);
    let moved = session(&[("x = 1", ""), ("x = x * 10", ""), ("x = x + 1", ""), ("print(x)", "11")]);
    let verdicts = judge(&then, &moved, None, &Rules::default());
    assert!(verdicts.executions[..3].iter().all(|one| one.verdict.agrees()), "{verdicts:?}");
    assert_eq!(verdicts.executions[3].causes, [Cause::Order]);

    // What ran later in the replay has given it nothing, though it differs.
    let then = session(&[("x = 1", ""), ("x = x + 1\nprint(x)", "2"), ("x = x * 10\nprint(x)", "20")]);
    let moved = session(&[("x = 1", ""), ("x = x * 10\nprint(x)", "10"), ("x = x + 1\nprint(x)", "11")]);
    let verdicts = judge(&then, &moved, None, &Rules::default());
    assert_eq!(verdicts.executions[1].causes, [Cause::Order]);
    assert_eq!(verdicts.executions[2].causes, [Cause::Order]);

    let seeded =
        |seed: u8, text: &str| session(&[(&format!("r = default_rng({seed})"), ""), ("print(r.random())", text)]);
    let verdicts = judge(&seeded(7, "0.1"), &seeded(8, "0.2"), None, &Rules::default());
    assert!(matches!(&verdicts.executions[1].causes[0], Cause::Downstream { of: 1, .. }), "{verdicts:?}");
}

#[test]
fn who_asks_for_the_processors_and_shows_their_number_has_the_machine_as_cause() {
    let session = |at: Nanos, count: u64| {
        let shown = |text: String| vec![out(&text)];
        let cells = vec![
            execution(1, at, "n = len(os.sched_getaffinity(0))\nprint(n)", shown(count.to_string())),
            execution(2, at, "parts = cut(n)\nprint(len(parts))", shown(count.to_string())),
            execution(3, at, "print(joblib.cpu_count(), parts)", shown(format!("{count} [1]"))),
        ];
        let mut session = recording(at, cells);
        session.facts.insert("cpu.count".into(), json!(count));
        session
    };
    let verdicts = judge(&session(THEN, 2), &session(NOW, 1), None, &Rules::default());
    let first: Vec<_> = verdicts.executions.iter().map(|one| one.causes.first()).collect();
    assert!(matches!(first[0], Some(Cause::Machine { .. })), "{first:?}");
    assert!(matches!(first[1], Some(Cause::Downstream { of: 1, .. })), "{first:?}");
    assert!(matches!(first[2], Some(Cause::Machine { .. })), "{first:?}");
}

#[test]
fn a_library_that_was_replaced_is_the_cause_where_the_code_names_it() {
    let session = |text: &str| {
        let cells = vec![
            execution(1, THEN, "import tabulate, numpy", vec![]),
            execution(2, THEN, "print(tabulate.tabulate([[1]]))", vec![out(text)]),
        ];
        recording(THEN, cells)
    };
    let known = Known {
        replaced: vec!["/env/lib/python3.11/site-packages/tabulate".into()],
        versions: BTreeMap::from([("tabulate".to_owned(), "0.9".to_owned())]),
        ..Known::default()
    };
    let verdicts = judge_knowing(&session("-"), &session("="), &[], &Rules::default(), &known);
    let cause = &verdicts.executions[1].causes[0];
    assert!(
        matches!(cause, Cause::Library { name, recorded: Some(v), .. } if name == "tabulate" && v == "0.9"),
        "{cause:?}"
    );
}

#[test]
fn a_seed_in_a_cell_that_failed_before_it_is_none() {
    let session = |at: Nanos, number: &str, failed: bool| {
        let error = Output::Error { ename: "ImportError".into(), evalue: "no".into(), traceback: Vec::new() };
        let first = if failed { vec![error] } else { vec![] };
        let cells = vec![
            execution(1, at, "import numpy, scipy.stats, widgets\nnumpy.random.seed(17)", first),
            execution(2, at, "heights = scipy.stats.norm.rvs(1000)", vec![]),
            execution(3, at, "heights.mean()", vec![value(number)]),
        ];
        recording(at, cells)
    };
    let causes = |failed: bool| {
        let (then, now) = (session(THEN, "178.23", failed), session(NOW, "178.38", failed));
        judge(&then, &now, None, &Rules::default()).executions[2].causes.clone()
    };
    let found = causes(true);
    assert!(matches!(found.as_slice(), [Cause::Random { evidence }] if evidence == "rvs in cell 2"), "{found:?}");
    assert_eq!(causes(false), []);
}

#[test]
fn what_varies_by_itself_is_the_cause_only_where_no_library_is() {
    let session = |at: Nanos, fitted: &str, score: &str| {
        let cells = vec![
            execution(1, at, "import tabulate\nmodel = tabulate.fit()", vec![out(fitted)]),
            execution(2, at, "print(tabulate.score(model))", vec![out(score)]),
        ];
        recording(at, cells)
    };
    let known = Known {
        replaced: vec!["/env/lib/python3.11/site-packages/tabulate".into()],
        versions: BTreeMap::from([("tabulate".to_owned(), "0.9".to_owned())]),
        ..Known::default()
    };
    let then = session(THEN, "loss 0.4121", "0.075");
    let causes = |known: &Known| {
        let (now, again) = (session(NOW, "loss 0.4733", "0.069"), session(NOW, "loss 0.4992", "0.069"));
        let verdicts = judge_knowing(&then, &now, &[&again], &Rules::default(), known);
        assert_eq!(verdicts.executions[0].verdict, Verdict::Nondeterministic);
        verdicts.executions[1].causes.clone()
    };
    assert!(matches!(causes(&known).as_slice(), [Cause::Library { .. }, Cause::Downstream { of: 1, .. }]));
    assert!(matches!(causes(&Known::default()).as_slice(), [Cause::Downstream { of: 1, .. }, ..]));
}

#[test]
fn amounts_that_lie_as_far_apart_as_the_sessions_are_no_clock() {
    let session = |at: Nanos, text: &str| {
        let code = "print(f'{name} has {amount:.2f} ({time.perf_counter():.3f})')";
        recording(at, vec![execution(1, at, code, vec![out(text)])])
    };
    let verdict = |text: &str| {
        let (then, now) = (session(THEN, "Ida has 145.00 (34411.561)\n"), session(THEN + 2 * SECOND, text));
        judge(&then, &now, None, &Rules::default()).executions[0].verdict
    };
    assert_eq!(verdict("Ida has 145.00 (34413.562)\n"), Verdict::Equivalent);
    assert_eq!(verdict("Ida has 147.00 (34413.562)\n"), Verdict::Changed);
}

#[test]
fn who_calls_a_stopwatch_shows_durations() {
    let stopwatch = "def timed(f):\n    def wrapper(x):\n        t = time.perf_counter()\n        print(f(x), time.perf_counter() - t)";
    let verdict = |call: &str| {
        let session = |at: Nanos, text: &str| {
            let cells = [stopwatch, "@timed\ndef net(x):\n    return x\n\ndef gross(x):\n    return x", call];
            let mut executions: Vec<_> = (1..).zip(cells).map(|(id, code)| execution(id, at, code, vec![])).collect();
            executions[2].outputs = vec![out(text)];
            recording(at, executions)
        };
        let (then, now) = (session(THEN, "200 [28.0 us]\n"), session(NOW, "200 [26.9 us]\n"));
        judge(&then, &now, None, &Rules::default()).executions[2].verdict
    };
    assert_eq!(verdict("net(200);"), Verdict::Equivalent);
    assert_eq!(verdict("gross(200);"), Verdict::Changed);
}

#[test]
fn a_figure_beside_a_clock_is_exact_where_two_replays_draw_the_same() {
    let session = |at: Nanos, colour: u8, stamp: u32, content: &[u8]| {
        let picture = png(true, |pixels| {
            for y in 20..23 {
                pixels.put_pixel(7, y, image::Rgb([200, 80, colour]));
                pixels.put_pixel(60 + stamp % 9, y, image::Rgb([0, 0, 0]));
            }
        });
        let code = "points(load('data.txt'))\nprint(datetime.now())";
        let mut session = recording(at, vec![execution(1, at + SECOND, code, vec![picture])]);
        reads_data(&mut session, &[1], content);
        session
    };
    let then = session(THEN, 80, 0, b"a");
    let verdict = |stamp: u32, again: u32, content: &[u8]| {
        let (now, again) = (session(NOW, 90, stamp, content), session(NOW, 90, again, content));
        judge(&then, &now, Some(&again), &Rules::default()).executions[0].verdict
    };
    assert_eq!(verdict(0, 0, b"b"), Verdict::Changed);
    assert_eq!(verdict(1, 5, b"b"), Verdict::Nondeterministic, "it shows the time");
    assert_eq!(verdict(0, 0, b"a"), Verdict::WithinTolerance, "nothing has changed");
}

#[test]
fn what_data_says_of_times_and_memory_is_no_measurement() {
    let session = |at: Nanos, code: &str, text: &str, content: &[u8]| {
        let mut session = recording(at, vec![execution(1, at + SECOND, code, vec![out(text)])]);
        reads_data(&mut session, &[1], content);
        session
    };
    let verdict = |code: &str, then: &str, now: &str| {
        let of = |content: &[u8]| {
            let (then, now) = (session(THEN, code, then, b"a"), session(NOW, code, now, content));
            judge(&then, &now, None, &Rules::default()).executions[0].verdict
        };
        (of(b"a"), of(b"b"))
    };
    let timed = "print(f'elapsed {time.time() - t:.2f}s, timeout {limit(data)}s')";
    let (_, changed) = verdict(timed, "elapsed 0.02s, timeout 30.00s\n", "elapsed 0.03s, timeout 35.00s\n");
    assert_eq!(changed, Verdict::Changed);
    let (same, noise) = verdict(timed, "elapsed 0.02s, timeout 30.00s\n", "elapsed 0.03s, timeout 30.00s\n");
    assert_eq!((same, noise), (Verdict::Equivalent, Verdict::Equivalent));
    let memory = "print(limit(data), psutil.Process().memory_info().rss)";
    let line = |limit: &str, rss: &str| format!("memory limit {limit} MiB, this process {rss} MiB\n");
    assert_eq!(verdict(memory, &line("512.0", "91.3"), &line("521.0", "94.2")).1, Verdict::Changed);
    assert_eq!(verdict(memory, &line("512.0", "91.3"), &line("512.0", "94.2")).1, Verdict::Equivalent);
}

#[test]
fn an_edited_cell_may_not_draw_a_little_otherwise() {
    let session = |at: Nanos, code: &str, colour: u8| {
        let picture = png(true, |pixels| pixels.put_pixel(7, 20, image::Rgb([200, 80, colour])));
        recording(at, vec![execution(1, at + SECOND, code, vec![picture])])
    };
    let verdict = |code: &str| {
        judge(&session(THEN, "bars('b0')", 80), &session(NOW, code, 90), None, &Rules::default()).executions[0].verdict
    };
    assert_eq!((verdict("bars('b0')"), verdict("bars('b1')")), (Verdict::WithinTolerance, Verdict::Changed));
}
