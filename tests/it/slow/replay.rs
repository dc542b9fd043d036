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
    env.small_environment(&python, &["ipykernel"]);
    let data = |last: u32| (1..50).chain([last]).fold(String::new(), |text, number| text + &format!("{number}\n"));
    std::fs::write(env.work().join("data.txt"), data(50)).unwrap();
    env.record(&python, "a.ipynb", CELLS);
    env.nbpack_ok(&["export", "a.ipynb", "-o", "a.nbpack"]);

    let once = env.nbpack(&["replay", "--json", "a.nbpack"]);
    assert_eq!(once.status.code(), Some(1), "a random number is a change until it is shown to vary");
    let stdout = String::from_utf8(once.stdout).unwrap();
    assert_eq!(
        verdicts(&stdout),
        // The warning names the kernel's process id, which is the recorded one.
        ["identical", "equivalent", "equivalent", "identical", "equivalent", "changed", "identical"]
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

#[test]
fn a_link_that_was_replaced_leads_where_it_led_then() {
    use std::os::unix::fs::symlink;
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    let work = env.work();
    for (name, content) in [("a.csv", "a,1"), ("b.csv", "b,2"), ("d1/x.txt", "one"), ("d2/x.txt", "two")] {
        std::fs::create_dir_all(work.join(name).parent().unwrap()).unwrap();
        std::fs::write(work.join(name), content).unwrap();
    }
    symlink("a.csv", work.join("latest.csv")).unwrap();
    symlink("d1", work.join("current")).unwrap();
    let cells = [
        "import os; read = lambda name: open(name).read(); print(read('latest.csv'), read('current/x.txt'))",
        "os.remove('latest.csv'); os.symlink('b.csv', 'latest.csv'); os.symlink('d2', 'new'); os.replace('new', 'current')",
        "print(read('latest.csv'), read('current/x.txt'))",
        "os.symlink('a.csv', 'own.csv'); f = open('own.csv', 'a'); f.write('more'); f.close(); print(read('a.csv'))",
    ];
    env.record(&python, "l.ipynb", &cells);
    env.nbpack_ok(&["export", "l.ipynb", "-o", "l.nbpack"]);
    let verdicts = verdicts(&env.nbpack_ok(&["replay", "--json", "l.nbpack"]));
    assert_eq!(verdicts, ["identical"; 4]);
    let listed = env.nbpack_ok(&["run", "l.nbpack", "--", "ls", "-l", work.to_str().unwrap()]);
    assert!(listed.contains("latest.csv -> a.csv") && listed.contains("current -> d1"), "{listed}");
    assert!(!listed.contains("own.csv"), "{listed}");
    // The files are known by where they lie, and the cell that read through a link by who made it.
    let shown: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["show", "--json", "l.ipynb"])).unwrap();
    let of = |name: &str| {
        let files = shown["datasets"].as_array().unwrap();
        let named = |file: &&serde_json::Value| file["path"].as_str().unwrap().ends_with(name);
        files.iter().find(named).map(|file| file["execution"].as_i64().unwrap())
    };
    assert_eq!([of("/a.csv"), of("/d1/x.txt"), of("/b.csv"), of("/d2/x.txt")], [1, 1, 3, 3].map(Some));
    let why = env.nbpack_ok(&["why", "l.ipynb", "3"]);
    assert!(why.contains("latest.csv"), "{why}");
}

#[test]
fn what_depends_on_the_kernels_process_id_comes_out_again_and_is_told_by_another_one() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    let cells = [
        "import os; print(os.getpid() % 1000)",
        "import random; random.seed(os.getpid()); print(random.random())",
        "import subprocess; print(int(subprocess.check_output(['sh', '-c', 'echo $$'])) * 3)",
    ];
    env.record(&python, "p.ipynb", &cells);
    env.nbpack_ok(&["export", "p.ipynb", "-o", "p.nbpack"]);
    let once = env.nbpack(&["replay", "--json", "p.nbpack"]);
    let first = verdicts(&String::from_utf8(once.stdout).unwrap());
    assert_eq!(first[..2], ["identical"; 2]);
    // The third one's depends on what else this machine started meanwhile.
    let twice = verdicts(&env.nbpack_ok(&["replay", "--twice", "--json", "p.nbpack"]));
    assert_eq!(twice[..2], ["identical"; 2]);
    assert_ne!(twice[2], "changed");
}
