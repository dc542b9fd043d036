//! The documentation's pictures are made here: with `NBPACK_PICTURES=DIRECTORY` they are put there (`tests/run pictures`).

use std::path::{Path, PathBuf};

use crate::support::{self, KERNEL, TestEnv};

/// Sales of a month in two regions; `last` is the last amount.
fn sales(env: &TestEnv, last: f64) {
    let amount = |day: u32, region: u32| f64::from((day * 37 + region * 11) % 90) + f64::from(day);
    let mut text = String::from("day,region,amount\n");
    for day in 1..=30 {
        for (number, region) in ["north", "south"].iter().enumerate() {
            text += &format!("{day},{region},{}\n", amount(day, number as u32));
        }
    }
    std::fs::write(env.work().join("sales.csv"), text + &format!("30,south,{last}\n")).unwrap();
}

fn picture(env: &TestEnv, python: &Path, name: &str, arguments: &[&str]) {
    let made = env.path().join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/pictures.py");
    let output = env.command(python).arg(script).args(arguments).arg(&made).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&made).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{name}: {} bytes", bytes.len());
    let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures").join(name);
    assert!(shown.exists(), "`tests/run pictures` puts it where the documentation shows it");
    if let Some(target) = std::env::var_os("NBPACK_PICTURES").map(PathBuf::from) {
        std::fs::write(target.join(name), bytes).unwrap();
    }
}

#[test]
fn the_pictures_of_the_documentation_show_what_is_there_now() {
    let Some(python) = support::python() else { return };
    if !Path::new("/usr/bin/chromium").exists() {
        return support::skipped("no Chromium (/usr/bin/chromium)");
    }
    let env = TestEnv::new();
    env.install_kernel(&python);
    sales(&env, 50.0);
    picture(&env, &python, "panel.png", &["notebook", KERNEL, env.work().to_str().unwrap()]);

    // The same work with one amount changed, and a page about it. A small environment, so that it is packed soon.
    env.small_environment(&python, &["ipykernel", "pandas", "matplotlib"]);
    let cells = [
        "import pandas, matplotlib.pyplot as plt\n%matplotlib inline",
        "sales = pandas.read_csv('sales.csv')\nsales.groupby('region').amount.mean().round(1)",
        "sales.groupby('day').amount.sum().plot(figsize=(6, 2.2), xlabel='day', ylabel='amount'); plt.show()",
        "print(len(sales), 'rows')",
    ];
    sales(&env, 50.0);
    env.record(&python, "sales.ipynb", &cells);
    env.nbpack_ok(&["export", "sales.ipynb", "-o", "sales.nbpack"]);
    sales(&env, 260.0);
    let volume = format!("sales.csv:{}:ro", env.work().join("sales.csv").display());
    let replayed = env.nbpack(&["replay", "sales.nbpack", "-v", &volume, "--report", "sales.html"]);
    assert_eq!(replayed.status.code(), Some(1), "{}", String::from_utf8_lossy(&replayed.stderr));
    picture(&env, &python, "report.png", &["report", env.work().join("sales.html").to_str().unwrap()]);
}
