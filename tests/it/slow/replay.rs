//! A session recorded by a real kernel, replayed in its container: noise is no alarm, a changed byte is named.

use crate::support::{TestEnv, python};

const CELLS: &[&str] = &[
    "import warnings; v = [float(x) for x in open('data.txt')]; print(sum(v))",
    "object()",
    "import time; print(time.ctime()); time.time()",
    "warnings.warn('w')",
    "import uuid; uuid.uuid4()",
    "import random; print(random.random())",
    "1/0",
];

fn verdicts(text: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    json["executions"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn noise_is_no_alarm_and_a_changed_byte_of_data_is_named() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let data = |last: u32| (1..50).chain([last]).fold(String::new(), |text, number| text + &format!("{number}\n"));
    std::fs::write(env.work().join("data.txt"), data(50)).unwrap();
    env.record(&python, "a.ipynb", CELLS);
    env.nbpack_ok(&["export", "a.ipynb", "-o", "a.nbpack"]);

    let once = env.nbpack(&["replay", "--json", "a.nbpack"]);
    assert_eq!(once.status.code(), Some(1), "a random number is a change until it is shown to vary");
    let stdout = String::from_utf8(once.stdout).unwrap();
    assert_eq!(
        verdicts(&stdout),
        ["identical", "equivalent", "equivalent", "equivalent", "equivalent", "changed", "identical"]
    );
    let twice = env.nbpack_ok(&["replay", "--twice", "--json", "a", "--report", "a.html", "--junit", "a.xml"]);
    assert_eq!(verdicts(&twice)[5], "nondeterministic");
    let page = std::fs::read_to_string(env.work().join("a.html")).unwrap();
    assert!(page.contains("The recorded results came out again"));
    assert!(std::fs::read_to_string(env.work().join("a.xml")).unwrap().contains("tests=\"7\" failures=\"0\""));

    std::fs::write(env.work().join("data.txt"), data(51)).unwrap();
    env.record(&python, "a.ipynb", CELLS);
    env.nbpack_ok(&["export", "a.ipynb", "-o", "b.nbpack"]);
    let diff = env.nbpack(&["diff", "a.nbpack", "b.nbpack"]);
    let text = String::from_utf8_lossy(&diff.stdout).into_owned();
    assert_eq!(diff.status.code(), Some(1), "{text}");
    assert!(text.contains("data.txt") && text.contains("same: code, libraries, environment"), "{text}");
    assert_eq!(env.nbpack(&["diff", "a.nbpack", "a"]).status.code(), Some(0), "a bundle and its restored name");
    let why = env.nbpack_ok(&["why", "b.nbpack", "1"]);
    assert!(why.contains("data.txt"), "{why}");
}
