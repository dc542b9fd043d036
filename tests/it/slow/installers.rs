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
    bundle
        .layers()
        .iter()
        .filter(|layer| of_distributions(&layer.title))
        .map(|layer| (layer.title.clone(), layer.diff_id.to_string()))
        .collect()
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
