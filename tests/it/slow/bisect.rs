//! Two bundles that differ in one library, one data file or one local module, and in two at once: each is named.

use std::{fs, path::Path, process::Command};

use crate::support::{TestEnv, python};

const CELLS: &[&str] = &[
    "import scale, helper",
    "v = [int(x) for x in open('data.txt')]; print(sum(v))",
    "print(scale.by(2))",
    "helper.word()",
    "import random; random.random()",
];

/// What a session is recorded with.
struct World<'a> {
    library: (&'a str, u32),
    word: &'a str,
    last: u32,
}

const AS_IT_WAS: World = World { library: ("1.0", 2), word: "one", last: 5 };

/// A distribution of one module, as an installer leaves it.
fn install_library(site: &Path, (version, factor): (&str, u32)) {
    for entry in fs::read_dir(site).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("scale") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let (module, info) = (site.join("scale"), site.join(format!("scale-{version}.dist-info")));
    fs::create_dir(&module).unwrap();
    fs::create_dir(&info).unwrap();
    fs::write(module.join("__init__.py"), format!("def by(x): return x * {factor}\n")).unwrap();
    fs::write(info.join("METADATA"), format!("Metadata-Version: 2.1\nName: scale\nVersion: {version}\n")).unwrap();
    fs::write(info.join("INSTALLER"), "pip\n").unwrap();
    let files = ["scale/__init__.py".to_owned()].into_iter();
    let files =
        files.chain(["METADATA", "RECORD", "INSTALLER"].map(|name| format!("scale-{version}.dist-info/{name}")));
    fs::write(info.join("RECORD"), files.fold(String::new(), |text, file| text + &file + ",,\n")).unwrap();
}

fn bundle(env: &TestEnv, python: &Path, site: &Path, name: &str, world: &World) {
    install_library(site, world.library);
    let work = env.work();
    fs::write(work.join("helper.py"), format!("def word(): return '{}'\n", world.word)).unwrap();
    let numbers = (1..=world.last).fold(String::new(), |text, number| text + &format!("{number}\n"));
    fs::write(work.join("data.txt"), numbers).unwrap();
    let notebook = format!("{name}.ipynb");
    env.record(python, &notebook, CELLS);
    env.nbpack_ok(&["export", "--force", &notebook, "-o", &format!("{name}.nbpack")]);
}

/// The exit code, and the names of each set that changes something, sorted.
fn bisected(env: &TestEnv, other: &str) -> (Option<i32>, Vec<Vec<String>>, serde_json::Value) {
    let output = env.nbpack(&["bisect", "--json", "a.nbpack", &format!("{other}.nbpack")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    let names = |set: &serde_json::Value| -> Vec<String> {
        set["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut sets: Vec<Vec<String>> = json["culprits"].as_array().unwrap().iter().map(names).collect();
    sets.sort();
    (output.status.code(), sets, json)
}

#[test]
fn the_library_the_data_and_the_module_that_change_a_result_are_named() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let own = env.work().join("own");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/small_environment.py");
    let made = Command::new(&python).arg(script).arg(&own).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let site = std::path::PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
    let spec = env.path().join("data/jupyter/kernels/python3");
    fs::create_dir_all(&spec).unwrap();
    let argv = [own.join("bin/python").to_str().unwrap(), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        .map(str::to_owned);
    let json = serde_json::json!({"argv": argv, "display_name": "own", "language": "python"});
    fs::write(spec.join("kernel.json"), json.to_string()).unwrap();
    env.nbpack_ok(&["install", "--kernel", "python3", "--user"]);

    bundle(&env, &python, &site, "a", &AS_IT_WAS);
    bundle(&env, &python, &site, "data", &World { last: 6, ..AS_IT_WAS });
    bundle(&env, &python, &site, "library", &World { library: ("1.1", 3), ..AS_IT_WAS });
    bundle(&env, &python, &site, "module", &World { word: "two", ..AS_IT_WAS });
    bundle(&env, &python, &site, "both", &World { library: ("1.1", 3), last: 6, ..AS_IT_WAS });
    // It differs, and no cell shows it.
    bundle(&env, &python, &site, "version", &World { library: ("1.0.1", 2), ..AS_IT_WAS });

    let named = |other: &str| {
        let (code, sets, json) = bisected(&env, other);
        assert_eq!(json["accounts_for_all"], true, "{json}");
        (code, sets)
    };
    let one = |name: &str| vec![name.to_owned()];
    assert_eq!(named("data"), (Some(1), vec![one("data.txt")]));
    assert_eq!(named("module"), (Some(1), vec![one("helper.py")]));
    assert_eq!(named("both"), (Some(1), vec![one("data.txt"), one("scale")]));
    assert_eq!(named("version"), (Some(0), vec![]));
    let (code, sets, json) = bisected(&env, "library");
    assert_eq!((code, sets), (Some(1), vec![one("scale")]));
    let found = &json["culprits"][0];
    assert_eq!((&found["cells"], &json["varying_cells"]), (&serde_json::json!([3]), &serde_json::json!([5])));
    let library = &found["differences"][0];
    assert_eq!((&library["first"], &library["second"]), (&serde_json::json!("1.0"), &serde_json::json!("1.1")));
}

#[test]
fn what_is_no_bundle_cannot_be_bisected() {
    let env = TestEnv::new();
    let output = env.nbpack(&["bisect", "nothing.nbpack", "nowhere.nbpack"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: "));
}
