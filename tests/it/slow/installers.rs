//! Who installed a distribution, where and when, does not show in its layers.

use std::{collections::BTreeMap, path::Path, process::Command};

use nbpack::bundle::read::Bundle;

use crate::support::{self, TestEnv};

fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// By title, the diff_ids of the layers that distributions are in.
fn layers(env: &TestEnv, driver: &Path, install: &[&str]) -> BTreeMap<String, String> {
    let venv = env.small_environment(driver, &["ipykernel"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/heavy_wheel.py");
    let wheel = ok(env.command(driver).arg(script).arg(env.work()));
    // Nothing is asked of a network: the wheel requires nothing.
    let python = venv.join("bin/python");
    let words = install.iter().map(|word| if *word == "PYTHON" { python.to_str().unwrap() } else { word });
    let words: Vec<&str> = words.collect();
    ok(env.command(words[0]).args(&words[1..]).arg(wheel));
    assert!(venv.join("bin/heavy").is_file(), "the program was installed");
    env.record(driver, "nb.ipynb", &["import heavy; heavy.main()"]);
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    let bundle = Bundle::open(&env.work().join("b.nbpack")).unwrap();
    let of_distributions = |title: &str| title.starts_with("libraries ") || title.contains("heavy 1.0");
    by_title(&bundle, of_distributions)
}

fn by_title(bundle: &Bundle, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let layers = bundle.layers().iter().filter(|layer| wanted(&layer.title));
    layers.map(|layer| (layer.title.clone(), layer.diff_id.to_string())).collect()
}

#[test]
fn pip_and_uv_give_the_same_layers_of_code_and_bytecode_at_two_places_and_times() {
    let Some(driver) = support::python() else { return };
    let uv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-validators/bin/uv");
    if !uv.exists() {
        return support::skipped("no uv (target/test-validators; README's test command makes it)");
    }
    let (first, second) = (TestEnv::new(), TestEnv::new());
    let pip = [driver.to_str().unwrap(), "-m", "pip", "--python", "PYTHON", "install", "-q", "--no-index", "--no-deps"];
    let by_pip = layers(&first, &driver, &pip);
    let compile = ["uv", "pip", "install", "-q", "--offline", "--no-cache", "--compile-bytecode", "--python", "PYTHON"];
    let mut by_uv = compile.to_vec();
    by_uv[0] = uv.to_str().unwrap();
    let by_uv = layers(&second, &driver, &by_uv);
    assert_eq!(by_pip, by_uv);
    assert!(by_pip.contains_key("heavy 1.0 bytecode"), "{by_pip:?}");
    // A change here is a change of the format. The path in the image has the version of Python in it.
    let version = ok(Command::new(&driver).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]));
    if version == "3.11" {
        assert_eq!(by_pip["heavy 1.0"], "sha256:5b6b521f0cdd89cb9383f0be26fcbe5c25c23e46662f6f5ae22c2a6740f2a072");
        assert_eq!(
            by_pip["heavy 1.0 bytecode"],
            "sha256:d2ba7ed04951ed794bf78a5e64e12308845a82b3f92c148823e5a2698ad9ef01"
        );
    }
}

/// The layers of packages by title: not those that name the prefix (`environment`), or what is the user's.
fn installed(bundle: &Bundle) -> BTreeMap<String, String> {
    let others = ["environment", "system state", "session", "local", "data"];
    by_title(bundle, |title| !others.iter().any(|other| title.starts_with(other)))
}

#[test]
fn an_environment_of_a_conda_installer_goes_to_a_machine_without_it_and_shares_its_layers_from_another_prefix() {
    let Some(driver) = support::python() else { return };
    let rattler = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-validators/bin/python");
    if !rattler.exists() {
        return support::skipped("no rattler (target/test-validators; README's test command makes it)");
    }
    // Short: the installer writes a prefix into programs where a longer one stood.
    let places = tempfile::Builder::new().prefix("c").rand_bytes(4).tempdir_in("/tmp").unwrap();
    let prefixes = ["a", "other"].map(|name| places.path().join(name));
    let site = ok(Command::new(&driver).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conda_environment.py");
    let both = format!("{}:{}", prefixes[0].display(), prefixes[1].display());
    ok(Command::new(rattler).arg(script).arg(both).arg(site).arg("ipykernel"));

    let cells = [
        "import psutil, sys\nprint(psutil.__version__, sys.prefix == sys.base_prefix)",
        "import sqlite3\nsqlite3.connect(':memory:').execute('select 6 * 7').fetchone()",
    ];
    let mut layers = Vec::new();
    for prefix in &prefixes {
        let env = TestEnv::new();
        env.install_kernel(&prefix.join("bin/python"));
        env.record(&driver, "nb.ipynb", &cells);
        // Nothing that the installer wrote down looks like a secret.
        env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
        let bundle = Bundle::open(&env.work().join("b.nbpack")).unwrap();
        let software: serde_json::Value =
            serde_json::from_str(&env.nbpack_ok(&["show", "--json", "--libraries", "b.nbpack"])).unwrap();
        let of = |kind: &str| {
            let all = software["libraries"].as_array().unwrap().iter();
            all.filter(|one| one["kind"] == kind).map(|one| one["name"].to_string()).collect::<Vec<_>>()
        };
        assert!(of("conda").len() > 20, "{software}");
        // Each is what the installer put there, not a wheel besides.
        assert_eq!(of("pypi"), Vec::<String>::new());
        layers.push(installed(&bundle));
        // The colleague has no conda, and none of this.
        std::fs::rename(prefix, prefix.with_extension("gone")).unwrap();
        let said = env.nbpack_ok(&["replay", "b.nbpack"]);
        assert!(said.contains("2 identical"), "{said}");
        let late = "import sqlite3, prompt_toolkit, pyexpat, sysconfig; print(sysconfig.get_config_var('prefix'))";
        let said = env.nbpack_ok(&["run", "b.nbpack", "--", "python", "-c", late]);
        assert_eq!(Path::new(said.trim()), prefix, "text that names the prefix still does");
    }
    let differ: Vec<_> = layers[0].iter().filter(|(title, diff_id)| layers[1].get(*title) != Some(diff_id)).collect();
    assert!(differ.is_empty() && layers[0].len() > 10, "{differ:?} of {layers:?}");
}
