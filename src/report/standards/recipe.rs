//! Recipes that build a like environment from the outside world: what a person reads and other tools install.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Facts;
use crate::inventory::{OF_R, model::Component};

/// Python's version of the session (`3.11.7`), where it had one.
fn python(facts: &Facts<'_>) -> Option<String> {
    Some(facts.recording.facts.get("python")?.get("version")?.as_str()?.to_owned())
}

/// The first two numbers of a version.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn of_kind<'a>(facts: &Facts<'a>, kind: &'a str) -> impl Iterator<Item = &'a Component> {
    facts.components.iter().filter(move |component| component.kind == kind)
}

/// How pip is told to install a distribution; `Err` holds a comment where it cannot be.
fn requirement(component: &Component) -> Result<String, String> {
    let name = &component.name;
    let Some(direct) = &component.direct_url else { return Ok(format!("{name}=={}", component.version)) };
    let url = direct.get("url").and_then(Value::as_str).unwrap_or_default();
    let vcs = direct.pointer("/vcs_info/vcs").and_then(Value::as_str);
    let commit = direct.pointer("/vcs_info/commit_id").and_then(Value::as_str);
    // What stands before an @ may be a password.
    let is_remote = url.starts_with("https://") && !url.contains('@') && !url.contains(char::is_whitespace);
    match (vcs, commit) {
        (Some(vcs), Some(commit)) if is_remote => Ok(format!("{name} @ {vcs}+{url}@{commit}")),
        (None, None) if is_remote => Ok(format!("{name} @ {url}")),
        _ => Err(format!("# {name}=={} came from a directory or file of the author's machine", component.version)),
    }
}

/// Lines for pip, each distribution once.
fn pip_lines(facts: &Facts<'_>) -> BTreeSet<String> {
    let conda: BTreeSet<&str> = of_kind(facts, "conda").map(|component| component.name.as_str()).collect();
    of_kind(facts, "pypi")
        .filter(|component| !conda.contains(component.name.as_str()))
        .map(|component| requirement(component).unwrap_or_else(|comment| comment))
        .collect()
}

/// `requirements.txt` with exact versions.
pub(super) fn requirements(facts: &Facts<'_>) -> String {
    let mut text = String::new();
    if let Some(version) = python(facts) {
        text.push_str(&format!("# Python {version}\n"));
    }
    for line in pip_lines(facts) {
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// A text that YAML takes for a text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// conda's `environment.yml`.
pub(super) fn environment_yml(facts: &Facts<'_>) -> String {
    let mut text = format!("name: {}\nchannels:\n  - conda-forge\ndependencies:\n", quoted(facts.name));
    let mut any = false;
    for component in of_kind(facts, "conda") {
        any = true;
        text.push_str(&format!("  - {}\n", quoted(&format!("{}={}", component.name, component.version))));
    }
    if let (false, Some(version)) = (any, python(facts)) {
        text.push_str(&format!("  - {}\n", quoted(&format!("python={version}"))));
    }
    let (comments, lines): (Vec<_>, Vec<_>) = pip_lines(facts).into_iter().partition(|line| line.starts_with('#'));
    if !lines.is_empty() {
        text.push_str("  - pip\n  - pip:\n");
    } else if !any {
        text.push_str("  []\n");
    }
    for line in lines {
        text.push_str(&format!("    - {}\n", quoted(&line)));
    }
    for comment in comments {
        text.push_str(&format!("{comment}\n"));
    }
    text
}

/// `renv.lock`, as renv 1 reads it.
pub(super) fn renv_lock(facts: &Facts<'_>) -> Value {
    let mut packages = Map::new();
    let is_own = |component: &&Component| OF_R.contains(&component.name.as_str());
    for component in of_kind(facts, "cran").filter(|component| !is_own(component)) {
        let repository = component.installer.clone().unwrap_or_else(|| "CRAN".to_owned());
        packages.insert(
            component.name.clone(),
            json!({
                "Package": component.name, "Version": component.version, "Source": "Repository",
                "Repository": repository, "Requirements": component.requires,
            }),
        );
    }
    let version = of_kind(facts, "generic")
        .find(|component| component.name == "R")
        .or_else(|| of_kind(facts, "cran").find(|component| component.name == "base"))
        .map(|component| component.version.clone())
        .or_else(|| of_kind(facts, "conda").find(|component| component.name == "r-base").map(|it| it.version.clone()));
    json!({
        "R": {
            "Version": version,
            "Repositories": [{"Name": "CRAN", "URL": "https://cloud.r-project.org"}],
        },
        "Packages": packages,
    })
}

/// A Dockerfile beside which `requirements.txt` lies.
pub(super) fn dockerfile(facts: &Facts<'_>) -> String {
    let base = match python(facts) {
        Some(version) => format!("python:{}-slim", minor(&version)),
        None => "debian:stable-slim".to_owned(),
    };
    let asked = of_kind(facts, "deb").filter(|component| component.loaded && !component.name.starts_with("lib"));
    let names: BTreeSet<&str> = asked
        .map(|component| component.name.as_str())
        .filter(|name| {
            !name.starts_with("python3") && !["base-files", "dash", "bash", "coreutils", "libc-bin"].contains(name)
        })
        .collect();
    let mut text = String::from(
        "# A like environment from today's outside world: versions are those of the session, bytes need not be.\n\
         # The bundle itself is an image with the recorded bytes.\n",
    );
    text.push_str(&format!("FROM {base}\n"));
    if !names.is_empty() {
        let names: Vec<&str> = names.into_iter().collect();
        text.push_str(&format!(
            "RUN apt-get update \\\n && apt-get install -y --no-install-recommends {} \\\n && rm -rf /var/lib/apt/lists/*\n",
            names.join(" ")
        ));
    }
    text.push_str("RUN useradd --create-home --uid 1000 jovyan\n");
    if python(facts).is_some() {
        text.push_str(
            "COPY requirements.txt /tmp/\nRUN pip install --no-cache-dir -r /tmp/requirements.txt jupyterlab\n",
        );
    }
    text.push_str("USER jovyan\nWORKDIR /home/jovyan\nCMD [\"jupyter\", \"lab\", \"--ip=0.0.0.0\"]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_names_a_commit_and_never_a_directory_or_password() {
        let of = |direct: Value| {
            requirement(&Component {
                name: "a".to_owned(),
                version: "1".to_owned(),
                direct_url: Some(direct),
                ..Component::default()
            })
        };
        let git = json!({"url": "https://e.org/a", "vcs_info": {"vcs": "git", "commit_id": "c"}});
        assert_eq!(of(git).unwrap(), "a @ git+https://e.org/a@c");
        assert!(of(json!({"url": "file:///home/u/a"})).is_err());
        assert!(of(json!({"url": "https://u:p@e.org/a.whl"})).is_err());
    }
}
