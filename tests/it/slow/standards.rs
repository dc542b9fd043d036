//! Documents for other tools, judged by validators and installers that are not ours.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{self, KERNEL, TestEnv};

/// The Python environment with the validators, which `tests/run` prepares.
fn validators() -> Option<PathBuf> {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-validators/bin");
    if !bin.join("uv").exists() {
        support::skipped("no validators (target/test-validators; README's test command makes it)");
        return None;
    }
    Some(bin)
}

fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// A small environment of its own with one wheel more, and a session in it: (environment's Python, bundle).
fn small_session(env: &TestEnv, bin: &Path, driver: &Path) -> (PathBuf, PathBuf) {
    session_in(env, &env.path().join("venv"), bin, driver)
}

/// The same with the environment at a place of the caller's.
fn session_in(env: &TestEnv, venv: &Path, bin: &Path, driver: &Path) -> (PathBuf, PathBuf) {
    ok(Command::new(driver).args(["-m", "venv", "--without-pip"]).arg(venv));
    let python = venv.join("bin/python");
    ok(Command::new(bin.join("uv")).args(["pip", "install", "-q", "--python"]).arg(&python).args(["ipykernel", "six"]));
    env.install_kernel(&python);
    std::fs::write(env.work().join("requirements.txt"), "six>=1\n").unwrap();
    std::fs::write(env.work().join("a b.csv"), "1\n").unwrap();
    let cells = [
        "import six\ntext = open('a b.csv').read()",
        "open('out.txt', 'w').write(text)",
        "open('out.txt').read(); 1/0",
    ];
    let notebook = env.work().join("nb.ipynb");
    ok(env
        .command(driver)
        .env("JUPYTER_PREFER_ENV_PATH", "0")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/record.py"))
        .arg(&notebook)
        .arg(KERNEL)
        .args(cells));
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    (python, env.work().join("b.nbpack"))
}

const DOCUMENTS: [(&str, &str); 9] = [
    ("spdx", "sbom.spdx.json"),
    ("cyclonedx", "sbom.cdx.json"),
    ("ro-crate", "ro-crate-metadata.json"),
    ("prov", "prov.json"),
    ("in-toto", "provenance.intoto.json"),
    ("environment.yml", "environment.yml"),
    ("renv.lock", "renv.lock"),
    ("requirements", "requirements.txt"),
    ("dockerfile", "Dockerfile"),
];

/// Distribution names and versions as pip's own format, one a line, without what only the installation adds.
fn frozen(bin: &Path, python: &Path) -> Vec<String> {
    let text = ok(Command::new(bin.join("uv")).args(["pip", "list", "-q", "--format", "json", "--python"]).arg(python));
    let list: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    list.as_array().unwrap().iter().map(|it| format!("{} {}", it["name"], it["version"])).collect()
}

#[test]
fn validators_of_others_accept_the_documents_and_installers_make_an_equal_environment() {
    let (Some(bin), Some(driver)) = (validators(), support::python()) else { return };
    let env = TestEnv::new();
    let (python, bundle) = small_session(&env, &bin, &driver);
    let bundle = bundle.to_str().unwrap();

    // The session and its bundle say the same, twice.
    for (format, name) in DOCUMENTS {
        let of_bundle = env.nbpack_ok(&["show", bundle, "--format", format]);
        assert_eq!(of_bundle, env.nbpack_ok(&["show", bundle, "--format", format]), "{format}");
        env.nbpack_ok(&["show", bundle, "--format", format, "--to", "documents"]);
        assert_eq!(std::fs::read_to_string(env.work().join("documents").join(name)).unwrap(), of_bundle);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate_standards.py");
    let said = ok(Command::new(bin.join("python")).arg(&script).arg(env.work().join("documents")));
    assert_eq!(said.matches(" valid").count(), 5, "{said}");
    let cyclonedx = std::fs::read_to_string(env.work().join("documents/sbom.cdx.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&cyclonedx).unwrap();
    let six = list["components"].as_array().unwrap().iter().find(|it| it["name"] == "six").unwrap();
    let property = |name: &str| six["properties"].as_array().unwrap().iter().find(|it| it["name"] == name).cloned();
    assert_eq!(property("nbpack:state").unwrap()["value"], "loaded");
    assert_eq!(property("nbpack:declared").unwrap()["value"], "six>=1");
    assert_eq!(six["licenses"][0]["license"]["id"], "MIT");

    // repo2docker itself reads both recipes, and takes our Python and our requirements.
    let version = ok(Command::new(&python).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]));
    for (format, file) in [("repo2docker", "requirements.txt"), ("environment.yml", "environment.yml")] {
        let dir = format!("recipe-{file}");
        let written = env.nbpack(&["show", bundle, "--format", format, "--to", &dir]);
        let said = String::from_utf8_lossy(&written.stderr);
        assert_eq!(said.contains("not in it is what the notebook reads: a b.csv\n"), format == "repo2docker", "{said}");
        let mut repo2docker = Command::new(bin.join("jupyter-repo2docker"));
        let said = ok(repo2docker.args(["--no-build", "--no-run", "--debug"]).arg(env.work().join(&dir)));
        assert!(said.contains(&format!("for python={}\n", version.trim())), "{format}: {said}");
        assert!(said.contains(&format!("COPY --chown=0:0 src/{file} ")), "{format}: {said}");
    }

    // From the session and from the bundle come the same wheels.
    env.nbpack_ok(&["show", bundle, "--format", "pylock", "--to", "lock"]);
    env.nbpack_ok(&["show", "nb.ipynb", "--format", "pylock", "--to", "again"]);
    let lock = |dir: &str| std::fs::read_to_string(env.work().join(dir).join("pylock.toml")).unwrap();
    assert_eq!(lock("lock"), lock("again"));
    let wanted = frozen(&bin, &python);
    assert!(wanted.len() > 15, "{wanted:?}");
    for (installer, file) in [("uv", "pylock.toml"), ("uv", "requirements.txt"), ("pip", "requirements.txt")] {
        let venv = env.path().join(format!("{installer}-{file}"));
        ok(Command::new(&driver).args(["-m", "venv", "--without-pip"]).arg(&venv));
        let other = venv.join("bin/python");
        let mut command = match installer {
            "uv" => {
                let mut command = Command::new(bin.join("uv"));
                command.args(["pip", "install", "-q", "--offline", "--no-deps", "--require-hashes"]);
                command
            }
            _ => {
                let mut command = Command::new(bin.join("python"));
                command.args(["-m", "pip"]);
                command
            }
        };
        match installer {
            "uv" => command.arg("--python").arg(&other),
            _ => command.arg("--python").arg(&other).args([
                "install",
                "-q",
                "--no-index",
                "--no-deps",
                "--require-hashes",
            ]),
        };
        ok(command.args(["-r", file]).current_dir(env.work().join("lock")));
        assert_eq!(frozen(&bin, &other), wanted, "{installer} {file}");
        ok(Command::new(&other).args(["-c", "import ipykernel.kernelapp, six, zmq, psutil, debugpy"]));
    }
}

/// `python -m venv .`: only the directories of distributions move to their place in the image, what RECORD names beside
/// them (jupyter's data files, scripts) stays among the user's own files.
#[test]
fn an_environment_in_the_notebooks_directory_becomes_whole_wheels() {
    let (Some(bin), Some(driver)) = (validators(), support::python()) else { return };
    let env = TestEnv::new();
    let (python, _) = session_in(&env, &env.work(), &bin, &driver);
    let wanted = frozen(&bin, &python);
    for subject in ["b.nbpack", "nb.ipynb"] {
        let written = env.nbpack(&["show", subject, "--format", "pylock", "--to", subject.get(..2).unwrap()]);
        let said = String::from_utf8_lossy(&written.stderr);
        assert!(written.status.success() && !said.contains("warning"), "{subject}: {said}");
    }
    let lock = |dir: &str| std::fs::read_to_string(env.work().join(dir).join("pylock.toml")).unwrap();
    assert_eq!(lock("b."), lock("nb"));
    let venv = env.path().join("other");
    ok(Command::new(&driver).args(["-m", "venv", "--without-pip"]).arg(&venv));
    let other = venv.join("bin/python");
    let mut command = Command::new(bin.join("uv"));
    command.args(["pip", "install", "-q", "--offline", "--no-deps", "--require-hashes", "-r", "pylock.toml"]);
    ok(command.arg("--python").arg(&other).current_dir(env.work().join("b.")));
    assert_eq!(frozen(&bin, &other), wanted);
    assert!(venv.join("share/jupyter/kernels/python3/kernel.json").exists());
}

/// A server that is not ours has all wheels but one; with it the lock names its addresses, and installers take them.
#[test]
fn wheels_of_the_users_own_index_are_named_by_their_addresses() {
    let (Some(bin), Some(driver)) = (validators(), support::python()) else { return };
    let env = TestEnv::new();
    let (python, bundle) = small_session(&env, &bin, &driver);
    let bundle = bundle.to_str().unwrap();
    env.nbpack_ok(&["show", bundle, "--format", "pylock", "--to", "lock"]);
    let served = env.path().join("served");
    std::fs::create_dir(&served).unwrap();
    for wheel in std::fs::read_dir(env.work().join("lock/wheels")).unwrap() {
        let wheel = wheel.unwrap();
        if !wheel.file_name().to_str().unwrap().starts_with("comm-") {
            std::fs::copy(wheel.path(), served.join(wheel.file_name())).unwrap();
        }
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(bin.join("pypi-server"))
        .args(["run", "--disable-fallback", "-i", "127.0.0.1", "-p", &port.to_string()])
        .arg(&served)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..300 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let index = format!("http://127.0.0.1:{port}/simple");
    let online = |to: &str, how: &str| {
        let arguments = ["show", bundle, "--format", "pylock", "--to", to, how];
        let mut command = env.command(support::program());
        command.args(arguments).env("PIP_INDEX_URL", format!("http://ann:secret@127.0.0.1:{port}/simple/"));
        ok(&mut command);
        std::fs::read_to_string(env.work().join(to).join("pylock.toml")).unwrap()
    };
    let named = online("named", &format!("--online={index}"));
    assert_eq!(named, online("set", "--online"), "the user's own setting is found");
    assert!(named.contains(&format!("url = \"http://127.0.0.1:{port}/packages/six-")), "{named}");
    assert!(named.contains(&format!("index = \"{index}\"")) && !named.contains("secret"), "{named}");
    assert_eq!(named.matches("path = ").count(), 1, "only what the index lacks is rebuilt: {named}");
    assert_eq!(std::fs::read_dir(env.work().join("named/wheels")).unwrap().count(), 1);

    let wanted = frozen(&bin, &python);
    let install = |name: &str, command: &mut Command| {
        let venv = env.path().join(name);
        ok(Command::new(&driver).args(["-m", "venv", "--without-pip"]).arg(&venv));
        let other = venv.join("bin/python");
        command.arg("--python").arg(&other).current_dir(env.work().join("named"));
        command.env("UV_CACHE_DIR", env.path().join("cache"));
        (other, command.output().unwrap())
    };
    let mut uv = Command::new(bin.join("uv"));
    let (other, said) =
        install("by-uv", uv.args(["pip", "install", "-q", "--no-deps", "--require-hashes", "-r", "pylock.toml"]));
    assert!(said.status.success(), "{said:?}");
    assert_eq!(frozen(&bin, &other), wanted);
    // pip takes its interpreter before the command.
    let venv = env.path().join("by-pip");
    ok(Command::new(&driver).args(["-m", "venv", "--without-pip"]).arg(&venv));
    let mut pip = Command::new(bin.join("python"));
    pip.args(["-m", "pip", "--python"]).arg(venv.join("bin/python"));
    pip.args(["install", "-q", "--no-deps", "--no-cache-dir", "--require-hashes", "-r", "requirements.txt"]);
    ok(pip.current_dir(env.work().join("named")));
    assert_eq!(frozen(&bin, &venv.join("bin/python")), wanted);

    // A file that was changed after its installation is no longer what the index has.
    let six = ok(Command::new(&python).args(["-c", "import six; print(six.__file__)"]));
    let text = std::fs::read_to_string(six.trim()).unwrap();
    std::fs::remove_file(six.trim()).unwrap();
    std::fs::write(six.trim(), text + "# mine\n").unwrap();
    let how = format!("--online={index}");
    env.nbpack_ok(&["show", "nb.ipynb", "--format", "pylock", "--to", "changed", &how]);
    let changed = std::fs::read_to_string(env.work().join("changed/pylock.toml")).unwrap();
    assert!(changed.contains("path = \"wheels/six-"), "{changed}");

    server.kill().unwrap();
    server.wait().unwrap();
    let gone = env.nbpack(&["show", bundle, "--format", "pylock", "--to", "gone", &how]);
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(gone.status.code() == Some(2) && said.contains("does not answer"), "{said}");
    let mut none = env.command(support::program());
    none.args(["show", bundle, "--format", "pylock", "--to", "gone", "--online"]);
    // Whatever this machine is set to is not asked.
    let none = none.env("PIP_CONFIG_FILE", "/dev/null").env("UV_NO_CONFIG", "1").env("PATH", env.path());
    let none = none.output().unwrap();
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(2) && said.contains("--online=URL"), "{said}");
}

#[test]
fn a_distribution_that_was_edited_is_named_at_export() {
    let (Some(bin), Some(driver)) = (validators(), support::python()) else { return };
    let env = TestEnv::new();
    let (python, bundle) = small_session(&env, &bin, &driver);
    let list = |bundle: &Path| -> serde_json::Value {
        let text = env.nbpack_ok(&["show", bundle.to_str().unwrap(), "--libraries", "--json"]);
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        all["libraries"].as_array().unwrap().iter().find(|it| it["name"] == "six").unwrap().clone()
    };
    assert_eq!(list(&bundle)["modified"], serde_json::json!([]));
    let six = ok(Command::new(python).args(["-c", "import six; print(six.__file__)"]));
    let six = Path::new(six.trim());
    let text = std::fs::read_to_string(six).unwrap();
    // As uv may have linked it to its cache: a new file in its place.
    std::fs::remove_file(six).unwrap();
    std::fs::write(six, text.replacen("Benjamin", "Benjamim", 1)).unwrap();
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "c.nbpack"]);
    assert_eq!(list(&env.work().join("c.nbpack"))["modified"], serde_json::json!(["six.py"]));
}

#[test]
fn a_lock_file_of_renv_names_the_packages_that_the_system_brought() {
    let Some(python) = support::python() else { return };
    if !Path::new("/usr/share/jupyter/kernels/ir").is_dir() {
        return support::skipped("no R kernel (r-cran-irkernel)");
    }
    let env = TestEnv::new();
    env.nbpack_ok(&["install", "--kernel", "ir", "--user"]);
    env.record_with(&python, "r.ipynb", "ir-nbpack", &["library(digest); digest('a')", "R.version$major"]);
    let lock: serde_json::Value =
        serde_json::from_str(&env.nbpack_ok(&["show", "r.ipynb", "--format", "renv.lock"])).unwrap();
    let said = |code: &str| ok(Command::new("Rscript").args(["-e", code])).trim().to_owned();
    assert_eq!(lock["R"]["Version"], said("cat(paste(R.version$major, R.version$minor, sep = '.'))"), "{lock:#}");
    for name in ["IRkernel", "digest"] {
        let version = said(&format!("cat(as.character(packageVersion('{name}')))"));
        assert_eq!(lock["Packages"][name]["Version"], version, "{lock:#}");
    }
    assert!(lock["Packages"].get("stats").is_none() && lock["Packages"].get("base").is_none(), "{lock:#}");
}

#[test]
fn the_kubernetes_recipes_hold_against_the_schemas_of_kubernetes() {
    let Some(bin) = validators() else { return };
    let env = TestEnv::new();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DEPLOY.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.starts_with("apiVersion:"))
        .collect();
    assert!(!blocks.is_empty());
    for (number, block) in blocks.iter().enumerate() {
        let file = env.work().join(format!("{number}.yaml"));
        std::fs::write(&file, block).unwrap();
        ok(Command::new(bin.join("kubernetes-validate")).arg("--strict").arg(&file));
        // It does judge.
        std::fs::write(&file, block.replace("containers:", "container:")).unwrap();
        let refused = Command::new(bin.join("kubernetes-validate")).arg("--strict").arg(&file).output().unwrap();
        assert!(!refused.status.success());
    }
}
