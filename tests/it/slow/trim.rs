//! `export --trim`: what was touched is enough to replay; the rest comes as one more layer. And a bundle says why.

use crate::support::{TestEnv, python};

/// In the environment with Pygments, and in no session of ours.
const UNTOUCHED: &str = "import pygments.lexers.ada; print(pygments.lexers.ada.__name__)";

#[test]
fn a_trimmed_bundle_replays_and_the_rest_is_one_more_layer() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let venv = env.small_environment(&python, &["ipykernel"]);
    let data = env.work().join("data.txt");
    std::fs::write(&data, "4\n5\n").unwrap();
    let cells = ["import json; print(json.dumps(sum(int(x) for x in open('data.txt'))))", "1 + 1"];
    env.record(&python, "a.ipynb", &cells);
    env.nbpack_ok(&["export", "--trim", "--rest", "whole.nbpack", "a.ipynb", "-o", "small.nbpack"]);
    // Only the bundles are left.
    let why_data = data.to_str().unwrap();
    std::fs::remove_dir_all(&venv).unwrap();
    std::fs::remove_file(&data).unwrap();

    let member = |bundle: &str, name: &str| -> serde_json::Value {
        let read = env.command("tar").args(["-xOf", bundle, name]).current_dir(env.work()).output().unwrap();
        serde_json::from_slice(&read.stdout).unwrap()
    };
    let layers = |name: &str| -> Vec<(String, u64)> {
        let index = member(name, "index.json");
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest = member(name, &format!("blobs/{digest}"));
        let rows = manifest["layers"].as_array().unwrap().iter();
        rows.map(|row| (row["digest"].as_str().unwrap().to_owned(), row["size"].as_u64().unwrap())).collect()
    };
    let (small, whole) = (layers("small.nbpack"), layers("whole.nbpack"));
    let new: Vec<_> = whole.iter().filter(|layer| !small.contains(layer)).collect();
    assert_eq!(new.len(), 2, "the rest and the record: {new:?}");
    let bytes = |layers: &[(String, u64)]| layers.iter().map(|layer| layer.1).sum::<u64>();
    assert!(bytes(&small) * 4 < bytes(&whole) * 3, "{} of {}", bytes(&small), bytes(&whole));

    env.nbpack_ok(&["replay", "small.nbpack"]);
    let lacks = env.nbpack(&["run", "small.nbpack", "--", "python", "-c", UNTOUCHED]);
    assert!(!lacks.status.success(), "what nobody touched is in the trimmed bundle");
    assert_eq!(env.nbpack_ok(&["run", "whole.nbpack", "--", "python", "-c", UNTOUCHED]).trim(), "pygments.lexers.ada");

    let rule = |path: &str| {
        let said = env.nbpack_ok(&["show", "small.nbpack", "--json", "--why", path]);
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["why"]["rule"].as_str().unwrap().to_owned()
    };
    assert_eq!(rule(why_data), "dataset");
    assert_eq!(env.nbpack(&["show", "small.nbpack", "--why", "/nowhere"]).status.code(), Some(1));
}
