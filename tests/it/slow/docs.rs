//! Every command of the documentation, run for real in a place like the one it tells of.
//!
//! The place: an environment `env` beside the project, activated; `analysis.ipynb`, recorded by the kernel that `nbpack install`
//! put there; the bundles `analysis.nbpack`, `before.nbpack` and `after.nbpack`; an SSH key; a registry.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    docs::{documents, repository},
    support::{
        self, TestEnv,
        console::{self, Place},
        docker::Docker,
        registry::Registry,
    },
};

const SALES: &str = "month,sales\n1,10\n2,12\n3,15\n";
/// A month was corrected, and the mean with it.
const CORRECTED: &str = "month,sales\n1,10\n2,12\n3,18\n";

const CELLS: [&str; 4] = [
    "factor = 1",
    "import pandas as pd\nsales = pd.read_csv('sales.csv')",
    "print(sales.sales.mean() * factor)",
    "sales.describe().to_csv('summary.csv')",
];

const APP: &str = "import http.server, sys\nhttp.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";

const COUNT: &str = r#"{"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "execution_count": null, "outputs": [],
  "source": "wc -l sales.csv"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#;

struct Scene {
    env: TestEnv,
    registry: Registry,
    docker: Option<Docker>,
}

impl Scene {
    fn new(python: &Path, distributions: &[&str], with_docker: bool) -> Option<Self> {
        let env = TestEnv::new();
        let registry = Registry::start(&env, false, "")?;
        let docker = if with_docker { Some(Docker::start(&env, Some(&support::other_root()?))?) } else { None };
        let scene = Self { env, registry, docker };
        scene.make_environment(python, distributions);
        scene.make_project();
        Some(scene)
    }

    fn project(&self) -> PathBuf {
        self.env.work().join("project")
    }

    fn make_environment(&self, python: &Path, distributions: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let venv = self.env.path().join("home/env");
        let mut make = self.env.command(python);
        make.arg(root.join("tests/small_venv.py")).arg(&venv);
        ok(make.args(["ipykernel", "nbclient", "pandas"]).args(distributions));
        ok(self
            .env
            .command(venv.join("bin/python"))
            .arg(root.join("tests/entry_points.py"))
            .arg(python.parent().unwrap().parent().unwrap()));
        let bin = self.env.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(support::program(), bin.join("nbpack")).unwrap();
        if let Some(docker) = &self.docker {
            docker.put_client(&bin);
        }
    }

    /// As somebody's shell is who activated the environment.
    fn shell(&self) -> Command {
        let root = self.env.path();
        let path = format!("{0}/bin:{0}/home/env/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", root.display());
        let mut command = self.env.command("timeout");
        command.args(["--signal=KILL", "300", "bash"]).env("PATH", path).env("VIRTUAL_ENV", root.join("home/env"));
        command.env("NBPACK_TEST_ROOT", env!("CARGO_MANIFEST_DIR")).current_dir(self.project());
        command
    }

    fn say(&self, script: &str) {
        ok(self.shell().arg("-ec").arg(script));
    }

    fn make_project(&self) {
        let project = self.project();
        std::fs::create_dir(&project).unwrap();
        std::fs::write(project.join("app.py"), APP).unwrap();
        std::fs::write(project.join("count.ipynb"), COUNT).unwrap();
        let record = |sales: &str, name: &str| {
            std::fs::write(project.join("sales.csv"), sales).unwrap();
            let mut run = self.shell();
            run.args(["-c", "exec python \"$NBPACK_TEST_ROOT/tests/record.py\" \"$@\"", "-", name, support::KERNEL]);
            ok(run.args(CELLS));
        };
        self.say(
            "nbpack install --sys-prefix; mkdir -m 700 ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519",
        );
        self.say("echo \"ann@example.org $(cat ~/.ssh/id_ed25519.pub)\" > allowed_signers");
        record(CORRECTED, "analysis.ipynb");
        self.say("nbpack export -o after.nbpack; rm -r \"$XDG_DATA_HOME\"/nbpack/v1/sessions/*");
        record(SALES, "analysis.ipynb");
        self.say("nbpack export -o before.nbpack; cp before.nbpack analysis.nbpack; cp -a . ../untouched");
    }

    /// The project as it was before the last document.
    fn begin_again(&self) {
        self.say("nbpack ls | tail -n +2 | cut -d' ' -f1 | xargs -r nbpack rm >/dev/null");
        let project = self.project();
        std::fs::remove_dir_all(&project).unwrap();
        ok(Command::new("cp").arg("-a").arg(self.env.work().join("untouched")).arg(&project));
    }

    /// Runs what a document says.
    fn follow(&self, document: &str) -> Vec<String> {
        let text = std::fs::read_to_string(repository().join(document)).unwrap();
        let notes = tempfile::tempdir().unwrap();
        let home = self.env.path().join("home").to_str().unwrap().to_owned();
        let place = Place {
            work: &self.project(),
            notes: notes.path(),
            words: vec![
                ("registry.example".to_owned(), format!("127.0.0.1:{}", self.registry.port)),
                ("/home/ann/project".to_owned(), self.project().to_str().unwrap().to_owned()),
                ("/home/ann".to_owned(), home),
            ],
        };
        let mut wrong = Vec::new();
        for block in console::blocks(&text).unwrap() {
            if let Some(why) = &block.not_run {
                eprintln!("not run: {document}:{}: {why}", block.line);
            } else if let Err(error) = place.run(&block, &|| self.shell()) {
                eprintln!("{document}: {error}");
                wrong.push(format!("{document}: {error}"));
            }
        }
        wrong
    }
}

fn ok(command: &mut Command) {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
}

fn follow(chosen: &dyn Fn(&str) -> bool, distributions: &[&str], with_docker: bool) {
    let Some(python) = support::python() else { return };
    let Some(scene) = Scene::new(&python, distributions, with_docker) else { return };
    let mut wrong = Vec::new();
    for document in documents().iter().filter(|document| chosen(document)) {
        wrong.extend(scene.follow(document));
        scene.begin_again();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_commands_of_the_readme_do_what_they_say() {
    follow(&|document| document == "README.md", &["jupyterlab"], false);
}

#[test]
fn the_commands_of_the_guide_do_what_they_say() {
    let other = |document: &str| document == "README.md" || document.starts_with("docs/howto");
    follow(&|document| !is_of_engines(document) && !other(document), &["jupyterlab"], false);
}

/// What the how-tos use beside the kernel.
const TOOLS: [&str; 4] = ["nbconvert", "tinycss2", "papermill", "bash_kernel"];

/// Whether a document is a how-to without an engine whose name begins with one of these letters.
fn is_how_to(document: &str, letters: std::ops::RangeInclusive<char>) -> bool {
    let name = document.strip_prefix("docs/howto/").filter(|_| !is_of_engines(document));
    name.is_some_and(|name| name.starts_with(|first| letters.contains(&first)))
}

#[test]
fn the_commands_of_the_first_how_tos_do_what_they_say() {
    follow(&|document| is_how_to(document, 'a'..='h'), &TOOLS, false);
}

#[test]
fn the_commands_of_the_other_how_tos_do_what_they_say() {
    follow(&|document| is_how_to(document, 'i'..='z'), &TOOLS, false);
}

#[test]
fn the_commands_with_an_engine_do_what_they_say() {
    follow(&is_of_engines, &[], true);
}

/// Whether a document's commands need a Docker daemon.
fn is_of_engines(document: &str) -> bool {
    matches!(document, "docs/DEPLOY.md" | "docs/howto/containers.md")
}
