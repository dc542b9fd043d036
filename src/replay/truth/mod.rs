//! Pairs of outputs of which we know whether they are the same. The rules were made with them: what the rules are worth
//! is measured with real kernels by `benches/run verdict`.

mod causes;
mod different;
mod later;
mod machine;
mod same;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Rules, judge,
    verdict::{Cause, Verdict, Verdicts},
};
use crate::{
    digest::Digest,
    event::Nanos,
    files::Signature,
    session::model::{
        Execution, FileUse, FileVersion, Output, Process, Recording, Role, SessionId, SessionInfo, Status, Use,
    },
};

/// 2026-11-22 18:12:54 UTC and, for the replay, 2026-11-29 09:30:10 UTC.
const THEN: Nanos = 1_795_371_174_000_000_000;
const NOW: Nanos = 1_795_944_610_000_000_000;
const SECOND: Nanos = 1_000_000_000;

pub(crate) fn recording(started: Nanos, executions: Vec<Execution>) -> Recording {
    Recording {
        info: SessionInfo {
            id: SessionId("20261122-181254-00000001".into()),
            started,
            ended: Some(started + 600 * SECOND),
            kernel: "python3".into(),
            display_name: "Python 3".into(),
            language: "python".into(),
            argv: Vec::new(),
            interrupt_mode: "signal".into(),
            kernel_env: BTreeMap::new(),
            cwd: "/home/ada/work".into(),
            notebook: None,
            notebook_source: None,
            user: "ada".into(),
            uid: 1000,
            gid: 1000,
            home: "/home/ada".into(),
            host: "desk".into(),
            nbpack_version: "0".into(),
            coverage: "full".into(),
            exit_status: Some(0),
            parent: None,
            executions: executions.len() as u64,
            running: false,
        },
        executions,
        files: Vec::new(),
        versions: Vec::new(),
        processes: vec![Process { pid: 48_213, ppid: 1, started, exe: Vec::new(), argv: Vec::new(), execution: None }],
        connections: Vec::new(),
        environment: BTreeMap::new(),
        facts: BTreeMap::new(),
        gaps: Vec::new(),
        comms: Vec::new(),
    }
}

/// An execution that took two seconds.
pub(crate) fn execution(id: i64, at: Nanos, code: &str, outputs: Vec<Output>) -> Execution {
    let error = outputs.iter().find_map(|output| match output {
        Output::Error { ename, evalue, .. } => Some((ename.clone(), evalue.clone())),
        _ => None,
    });
    Execution {
        id,
        msg_id: format!("m{id}"),
        cell_id: Some(format!("c{id}")),
        code: code.into(),
        request: json!({}),
        silent: false,
        is_magic: false,
        execution_count: Some(id),
        sent: at,
        busy: Some(at),
        reply: Some(at + 2 * SECOND),
        idle: Some(at + 2 * SECOND),
        status: Some(if error.is_some() { Status::Error } else { Status::Ok }),
        ename: error.as_ref().map(|(ename, _)| ename.clone()),
        evalue: error.map(|(_, evalue)| evalue),
        interrupted: false,
        client: "c".into(),
        username: "u".into(),
        user_expressions: json!({}),
        outputs,
        stdin: Vec::new(),
    }
}

pub(crate) fn out(text: &str) -> Output {
    Output::Stream { name: "stdout".into(), text: text.into() }
}

fn err(text: &str) -> Output {
    Output::Stream { name: "stderr".into(), text: text.into() }
}

fn shown(mime: &str, value: impl Into<Value>) -> Output {
    Output::DisplayData {
        data: BTreeMap::from([(mime.to_owned(), value.into())]),
        metadata: json!({}),
        display_id: None,
    }
}

/// A drawing of 100 × 100.
fn svg(inside: &str) -> String {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" height=\"100\">{inside}</svg>")
}

fn value(text: &str) -> Output {
    Output::ExecuteResult {
        data: BTreeMap::from([("text/plain".to_owned(), text.into())]),
        metadata: json!({}),
        execution_count: Some(1),
    }
}

fn raised(ename: &str, evalue: &str, traceback: &str) -> Output {
    Output::Error { ename: ename.into(), evalue: evalue.into(), traceback: vec![traceback.into()] }
}

/// A white PNG of 80 × 60 with a grey line; `change` may paint on it.
fn png(compressed: bool, change: impl Fn(&mut image::RgbImage)) -> Output {
    use base64::Engine as _;
    use image::ImageEncoder as _;
    let mut pixels = image::RgbImage::from_pixel(80, 60, image::Rgb([255, 255, 255]));
    for x in 0..80 {
        pixels.put_pixel(x, x / 2 + 10, image::Rgb([70, 70, 70]));
    }
    change(&mut pixels);
    let mut bytes = Vec::new();
    let compression =
        if compressed { image::codecs::png::CompressionType::Best } else { image::codecs::png::CompressionType::Fast };
    image::codecs::png::PngEncoder::new_with_quality(&mut bytes, compression, image::codecs::png::FilterType::NoFilter)
        .write_image(pixels.as_raw(), 80, 60, image::ExtendedColorType::Rgb8)
        .unwrap();
    shown("image/png", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// What a case should give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Truth {
    Same,
    Different,
    Error,
}

struct Case {
    name: &'static str,
    truth: Truth,
    code: &'static str,
    then: Vec<Output>,
    now: Vec<Output>,
}

fn case(name: &'static str, truth: Truth, code: &'static str, then: Vec<Output>, now: Vec<Output>) -> Case {
    Case { name, truth, code, then, now }
}

fn same(name: &'static str, code: &'static str, then: Output, now: Output) -> Case {
    case(name, Truth::Same, code, vec![then], vec![now])
}

fn different(name: &'static str, code: &'static str, then: Output, now: Output) -> Case {
    case(name, Truth::Different, code, vec![then], vec![now])
}

const TABLE: &str = "<table border=\"1\"><thead><tr><th></th><th>a</th></tr></thead><tbody><tr><th>0</th><td>1.5</td></tr>\
                     <tr><th>1</th><td>2.5</td></tr></tbody></table>";
const STYLED: &str = "<style>#T_1ab2c_row0_col0 { color: red; }</style><table id=\"T_1ab2c\"><tr>\
                      <td id=\"T_1ab2c_row0_col0\" class=\"data\">1.5</td></tr></table>";

fn judged(case: &Case, rules: &Rules) -> Verdicts {
    let then = recording(THEN, vec![execution(1, THEN + SECOND, case.code, case.then.clone())]);
    let now = recording(NOW, vec![execution(1, NOW + SECOND, case.code, case.now.clone())]);
    judge(&then, &now, None, rules)
}

#[test]
fn noise_is_no_alarm_and_no_change_is_missed() {
    let (mut alarms, mut missed, mut wrong) = (0, 0, Vec::new());
    let cases: Vec<Case> = same::known_same()
        .into_iter()
        .chain(different::known_different())
        .chain(later::later())
        .chain(machine::machine())
        .collect();
    let (same, all) = (cases.iter().filter(|case| case.truth == Truth::Same).count(), cases.len());
    for case in &cases {
        let verdicts = judged(case, &Rules::default());
        let one = &verdicts.executions[0];
        let found = match one.verdict {
            Verdict::Error => Truth::Error,
            Verdict::Changed => Truth::Different,
            _ => Truth::Same,
        };
        if found != case.truth {
            alarms += usize::from(case.truth == Truth::Same);
            missed += usize::from(found == Truth::Same);
            wrong.push(format!("{}: {:?} {:?} {:?}", case.name, one.verdict, one.equal_after, one.differences));
        }
        // The same two in the other direction give the same answer.
        let (then, now) = (case.then.clone(), case.now.clone());
        let back = Case { then: now, now: then, ..*case };
        if case.truth == Truth::Different && back.then.len() == back.now.len() && found == case.truth {
            assert_eq!(judged(&back, &Rules::default()).executions[0].verdict, one.verdict, "{}", case.name);
        }
    }
    println!("{all} cases: {same} known same, {alarms} false alarms; {} known different, {missed} missed", all - same);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_normaliser_is_named_and_can_be_switched_off() {
    let mut used = std::collections::BTreeSet::new();
    let later = later::later().into_iter().chain(machine::machine()).filter(|case| case.truth == Truth::Same);
    for case in same::known_same().into_iter().chain(later) {
        let verdicts = judged(&case, &Rules::default());
        for name in verdicts.executions[0].equal_after.keys() {
            assert!(super::NORMALISERS.iter().any(|(known, _)| known == name), "{name} is not in the table");
            used.insert(name.clone());
            let mut rules = Rules::default();
            rules.off.insert(name.clone());
            let without = judged(&case, &rules);
            let one = &without.executions[0];
            assert!(!one.equal_after.contains_key(name), "{}: {name} is off", case.name);
        }
    }
    // Needs two sessions in two places, and counts that differ.
    let elsewhere = ["working_directory", "execution_count", "redacted"];
    let unused: Vec<_> =
        super::NORMALISERS.iter().filter(|(name, _)| !used.contains(*name) && !elsewhere.contains(name)).collect();
    assert!(unused.is_empty(), "no case shows {unused:?}");
}

#[test]
fn what_differs_between_two_replays_is_noise_and_only_that() {
    let session = |at: Nanos, random: &str, data: &str| {
        let text = format!("random {random}\ndata {data}\n");
        recording(at, vec![execution(1, at + SECOND, "print(random(), data)", vec![out(&text)])])
    };
    let then = session(THEN, "0.123", "5");
    let verdict = |first: &Recording, second: &Recording| {
        judge(&then, first, Some(second), &Rules::default()).executions[0].verdict
    };
    assert_eq!(verdict(&session(NOW, "0.5", "5"), &session(NOW, "0.7", "5")), Verdict::Nondeterministic);
    assert_eq!(verdict(&session(NOW, "0.5", "6"), &session(NOW, "0.7", "6")), Verdict::Changed, "the data changed too");
    assert_eq!(verdict(&session(NOW, "0.5", "5"), &session(NOW, "0.5", "5")), Verdict::Changed, "the same twice");
}

#[test]
fn a_figure_with_a_time_in_it_that_shows_other_data_has_changed() {
    let figure = |at: Nanos, stamp: u32, data: u32| {
        let picture = png(true, |pixels| {
            for x in 0..data {
                for y in 20..50 {
                    pixels.put_pixel(x, y, image::Rgb([0, 0, 200]));
                }
            }
            // The stamp: a few dots.
            for x in 0..3 {
                pixels.put_pixel(70 + (stamp + x) % 9, 5, image::Rgb([0, 0, 0]));
            }
        });
        recording(at, vec![execution(1, at + SECOND, "plt.title(time.ctime())", vec![picture])])
    };
    let then = figure(THEN, 0, 10);
    let verdict = |first: &Recording, second: &Recording| {
        judge(&then, first, Some(second), &Rules::default()).executions[0].verdict
    };
    assert_eq!(verdict(&figure(NOW, 3, 10), &figure(NOW, 6, 10)), Verdict::Nondeterministic);
    assert_eq!(verdict(&figure(NOW, 3, 40), &figure(NOW, 6, 40)), Verdict::Changed);
}

#[test]
fn what_was_taken_out_cannot_be_compared_and_is_named() {
    let session = |text: &str| recording(THEN, vec![execution(1, THEN + SECOND, "print(token)", vec![out(text)])]);
    let mut then = session("using [redacted] as ada\n");
    let verdict = |then: &Recording, now: &str| {
        let verdicts = judge(then, &session(now), None, &Rules::default());
        (verdicts.executions[0].verdict, verdicts.executions[0].equal_after.contains_key("redacted"))
    };
    assert_eq!(verdict(&then, "using None as ada\n"), (Verdict::Changed, false), "nothing was taken out");
    let gap = |reason: &str| crate::event::Gap { at: THEN, reason: reason.into(), detail: String::new(), count: 1 };
    then.gaps.push(gap("redacted"));
    assert_eq!(verdict(&then, "using None as ada\n"), (Verdict::Equivalent, true));
    assert_eq!(verdict(&then, "using None as bob\n"), (Verdict::Changed, false));
}

#[test]
fn of_rows_that_are_drawn_some_are_the_same_twice() {
    let table = |rows: &[(&str, &str, &str)]| {
        let rows: Vec<String> =
            rows.iter().map(|(a, b, c)| format!("<tr><td>{a}</td><td>{b}</td><td>{c}</td></tr>")).collect();
        let rows = rows.concat();
        shown("text/html", format!("<table><tr><th>n</th><th>species</th><th>sex</th></tr>{rows}</table>"))
    };
    let session = |at: Nanos, code: &str, rows: &[(&str, &str, &str)]| {
        recording(at, vec![execution(1, at + SECOND, code, vec![table(rows)])])
    };
    let then = [("41", "Adelie", "male"), ("7", "Gentoo", "female"), ("19", "Adelie", "male")];
    let now = [("77", "Gentoo", "male"), ("12", "Adelie", "male"), ("3", "Adelie", "female")];
    let again = [("52", "Gentoo", "female"), ("30", "Chinstrap", "male"), ("8", "Gentoo", "female")];
    let verdict = |code: &str, again: &[(&str, &str, &str)]| {
        let (then, now, again) = (session(THEN, code, &then), session(NOW, code, &now), session(NOW, code, again));
        judge(&then, &now, Some(&again), &Rules::default()).executions[0].verdict
    };
    assert_eq!(verdict("frame.sample(3)", &again), Verdict::Nondeterministic);
    let mut mostly = now;
    mostly[0].0 = "52";
    assert_eq!(verdict("frame.sample(3)", &mostly), Verdict::Changed, "all but one is the same twice");
}

#[test]
fn of_few_values_two_replays_may_draw_the_same_and_a_third_tells() {
    let session = |at: Nanos, code: &str, drawn: &str| {
        recording(at, vec![execution(1, at + SECOND, code, vec![out(&format!("the winner is {drawn}\n"))])])
    };
    let verdicts = |code: &str, third: Option<&str>| {
        let (then, now) = (session(THEN, code, "Ann"), session(NOW, code, "Bob"));
        let (second, third) = (session(NOW, code, "Bob"), third.map(|drawn| session(NOW, code, drawn)));
        let again: Vec<_> = std::iter::once(&second).chain(&third).collect();
        let verdicts = super::judge_knowing(&then, &now, &again, &Rules::default(), &super::Known::default());
        (verdicts.executions[0].verdict, verdicts.left_to_chance)
    };
    let drawn = "print('the winner is', random.choice(names))";
    assert_eq!(verdicts(drawn, None), (Verdict::Changed, 1));
    assert_eq!(verdicts(drawn, Some("Eve")), (Verdict::Nondeterministic, 0));
    assert_eq!(verdicts(drawn, Some("Bob")), (Verdict::Changed, 1), "it does not vary");
    let read = "print('the winner is', names[0])";
    assert_eq!(verdicts(read, None), (Verdict::Changed, 0));
    assert_eq!(verdicts(read, Some("Eve")), (Verdict::Changed, 0), "nothing is drawn: a third replay excuses nothing");
}

#[test]
fn an_execution_that_did_not_run_is_no_agreement() {
    let then = recording(THEN, vec![execution(1, THEN, "a", vec![]), execution(2, THEN, "b", vec![])]);
    let now = recording(NOW, vec![execution(1, NOW, "a", vec![])]);
    let verdicts = judge(&then, &now, None, &Rules::default());
    assert_eq!((verdicts.executions[1].verdict, verdicts.exit_code()), (Verdict::NotRun, 2));
}

#[test]
fn silent_and_aborted_executions_are_not_judged() {
    let mut silent = execution(1, THEN, "names()", vec![]);
    silent.silent = true;
    let mut aborted = execution(2, THEN, "b", vec![]);
    aborted.status = Some(Status::Aborted);
    let then = recording(THEN, vec![silent, aborted, execution(3, THEN, "c", vec![])]);
    let now = recording(NOW, vec![execution(1, NOW, "c", vec![])]);
    let verdicts = judge(&then, &now, None, &Rules::default());
    assert_eq!(verdicts.executions.len(), 1);
    assert_eq!((verdicts.executions[0].verdict, verdicts.exit_code()), (Verdict::Equivalent, 0), "only the count");
}

/// These executions read `data.txt`, which is hashed once.
fn reads_data(session: &mut Recording, executions: &[i64], content: &[u8]) {
    let signature = Signature { dev: 1, ino: 1, size: 9, mtime_ns: 0, ctime_ns: 0 };
    let at = session.info.started;
    for id in executions {
        session.files.push(FileUse {
            path: b"/home/ada/work/data.txt".to_vec(),
            execution: Some(*id),
            pid: 1,
            usage: Use::Read,
            first: at,
            last: at,
            count: 1,
            signature: Some(signature),
            created_here: false,
        });
    }
    session.versions.push(FileVersion {
        path: b"/home/ada/work/data.txt".to_vec(),
        execution: executions.first().copied(),
        role: Role::Read,
        digest: Some(Digest::of(content)),
        signature,
        mode: 0o644,
        kept: true,
        unstable: false,
        seen: at,
        note: None,
    });
}

#[test]
fn what_looks_like_noise_is_data_where_the_data_has_changed() {
    let ids = ["6ba7b810-9dad-41d1-80b4-00c04fd430c8", "0f0e0d0c-0b0a-4908-8706-050403020100"];
    let session = |at: Nanos, which: usize, content: &[u8]| {
        let mut session = recording(
            at,
            vec![
                execution(1, at, "import uuid\nv = load('data.txt')", vec![]),
                execution(2, at, "v.id", vec![value(&format!("'{}'", ids[which]))]),
                execution(
                    3,
                    at,
                    "print(f'the lap took {v.lap} s')",
                    vec![out(["took 1.21 s\n", "took 1.22 s\n"][which])],
                ),
                execution(4, at, "print(uuid.uuid4(), len(v))", vec![out(&format!("{} 3\n", ids[which]))]),
                execution(5, at, "!grep -c x data.txt", vec![out(["1\n", "2\n"][which])]),
            ],
        );
        reads_data(&mut session, &[1, 5], content);
        session
    };
    let verdicts = |then: &[u8], now: &[u8]| {
        judge(&session(THEN, 0, then), &session(NOW, 1, now), None, &Rules::default()).executions
    };
    let changed = verdicts(b"a", b"b");
    let agree: Vec<bool> = changed.iter().map(|one| one.verdict.agrees()).collect();
    assert_eq!(agree, [true, false, false, true, false], "{changed:#?}");
    for at in [1, 2, 4] {
        assert!(matches!(&changed[at].causes[0], Cause::Data { .. }), "{:?}", changed[at].causes);
    }
    let same: Vec<bool> = verdicts(b"a", b"a").iter().map(|one| one.verdict.agrees()).collect();
    assert_eq!(same, [true, true, true, true, false], "without another input it is noise");
}

#[test]
fn the_changed_file_is_named_and_the_rest_is_downstream() {
    let session = |at: Nanos, sum: &str, content: &[u8]| {
        let mut session = recording(
            at,
            vec![
                execution(1, at, "v = load('data.txt')", vec![]),
                execution(2, at, "total = sum(v)\nprint(total)", vec![out(sum)]),
                execution(3, at, "print(total + 1)", vec![out(&format!("{sum}+1"))]),
                execution(4, at, "print(7)", vec![out("7")]),
            ],
        );
        reads_data(&mut session, &[1], content);
        session
    };
    let verdicts = judge(&session(THEN, "15", b"a"), &session(NOW, "16", b"b"), None, &Rules::default());
    let [first, second, third, fourth] = verdicts.executions.as_slice() else { panic!("four") };
    assert!(first.verdict.agrees() && fourth.verdict.agrees());
    assert_eq!((second.verdict, third.verdict), (Verdict::Changed, Verdict::Changed));
    assert!(
        matches!(&second.causes[0], Cause::Data { path, read_in: Some(1), .. } if path.ends_with("data.txt")),
        "{:?}",
        second.causes
    );
    assert!(
        matches!(&third.causes[0], Cause::Downstream { of: 2, through } if through == &["total"]),
        "{:?}",
        third.causes
    );
    assert_eq!(verdicts.first_divergence().map(|judged| judged.number), Some(2));
}

#[test]
fn a_users_own_normaliser_is_used_and_named() {
    let rules = Rules::parse("[[normalise]]\nname = \"job\"\npattern = \"job-\\\\d+\"\nreplace = \"job\"").unwrap();
    let one = same("own", "submit()", out("job-12 is queued\n"), out("job-977 is queued\n"));
    let verdicts = judged(&one, &rules);
    assert_eq!(verdicts.executions[0].verdict, Verdict::Equivalent);
    assert!(verdicts.executions[0].equal_after.contains_key("job"));
    assert!(Rules::parse("[[normalise]]\nname = \"x\"\npattern = \"(\"").is_err());
}

#[test]
fn numbers_are_compared_more_loosely_across_cpus() {
    let one = same("sum", "x", value("1.00000000"), value("1.00000005"));
    let then = |flags: &str| {
        let mut session = recording(THEN, vec![execution(1, THEN, one.code, one.then.clone())]);
        session.facts.insert("cpu.flags".into(), json!(flags));
        session
    };
    let mut now = recording(NOW, vec![execution(1, NOW, one.code, one.now.clone())]);
    now.facts.insert("cpu.flags".into(), json!("sse avx2"));
    let verdict = |flags: &str| judge(&then(flags), &now, None, &Rules::default()).executions[0].verdict;
    assert_eq!(verdict("avx2 sse"), Verdict::Changed);
    assert_eq!(verdict("sse avx512f"), Verdict::WithinTolerance);
}
