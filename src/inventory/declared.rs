//! What a project asks for, told apart from what is installed: requirements files, `pyproject.toml` and
//! `environment.yml` beside the notebook.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{distributions::normalise, model::Component};
use crate::{files, session::model::Recording};

/// No such file is longer.
const LIMIT: u64 = 1 << 20;

/// Where such files are looked for: beside the notebook, and in the working directory.
pub(crate) fn directories(recording: &Recording) -> Vec<PathBuf> {
    let beside = recording.info.notebook.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let mut dirs: Vec<PathBuf> = beside.into_iter().chain([recording.info.cwd.clone()]).collect();
    dirs.dedup();
    dirs
}

/// Notes at each component what asks for it. The first file that names it wins.
pub(crate) fn mark(components: &mut [Component], dirs: &[PathBuf]) {
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    for dir in dirs {
        for requirement in read(dir) {
            let name = name_of(&requirement);
            if !name.is_empty() {
                asked.entry(normalise(name)).or_insert(requirement);
            }
        }
    }
    for component in components.iter_mut().filter(|component| matches!(component.kind.as_str(), "pypi" | "conda")) {
        component.declared = asked.get(&normalise(&component.name)).cloned();
    }
}

/// The name that a requirement begins with (PEP 508).
fn name_of(requirement: &str) -> &str {
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
    requirement.get(..end.unwrap_or(requirement.len())).unwrap_or_default()
}

fn read(dir: &Path) -> Vec<String> {
    let text = |name: &str| {
        let bytes = files::read_bounded(&dir.join(name), LIMIT).ok()?;
        String::from_utf8(bytes).ok()
    };
    let mut found = Vec::new();
    found.extend(text("pyproject.toml").map(|text| of_pyproject(&text)).unwrap_or_default());
    for name in ["requirements.in", "requirements.txt"] {
        found.extend(text(name).map(|text| of_requirements(&text)).unwrap_or_default());
    }
    for name in ["environment.yml", "environment.yaml"] {
        found.extend(text(name).map(|text| of_environment(&text)).unwrap_or_default());
    }
    found
}

/// Lines of a requirements file, without options, comments and hashes.
fn of_requirements(text: &str) -> Vec<String> {
    text.replace("\\\n", " ")
        .lines()
        .filter_map(|line| {
            let line = line.split(" #").next().unwrap_or_default();
            let line = line.split(" --").next().unwrap_or_default().trim();
            (!line.is_empty() && !line.starts_with(['#', '-', '.', '/'])).then(|| line.to_owned())
        })
        .collect()
}

/// `[project] dependencies` and the groups of PEP 735.
fn of_pyproject(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let strings = |value: &toml::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let project = table.get("project").and_then(|project| project.get("dependencies")).map(strings);
    let groups = table.get("dependency-groups").and_then(toml::Value::as_table);
    project.into_iter().chain(groups.into_iter().flat_map(|groups| groups.values().map(strings))).flatten().collect()
}

/// Items of the list `dependencies` (and its `pip` list) of a conda environment file; other YAML is not read.
fn of_environment(text: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| line.trim_end() != "dependencies:")
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with([' ', '-', '#']))
        .filter_map(|line| line.trim().strip_prefix("- "))
        .map(|item| item.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']))
        .map(|item| item.rsplit("::").next().unwrap_or_default().to_owned())
        .filter(|item| !item.is_empty() && !item.ends_with(':'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_noted_in_the_words_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("requirements.txt"), "# c\nNumPy>=1.2 # why\n-r x\npandas==2 \\\n --hash=x\n")
            .unwrap();
        std::fs::write(dir.path().join("pyproject.toml"), "[project]\ndependencies = ['six']\n").unwrap();
        std::fs::write(
            dir.path().join("environment.yml"),
            "name: x\nchannels:\n- forge\ndependencies:\n  - forge::zlib=1.3\n  - pip:\n    - rich\nprefix: /x\n",
        )
        .unwrap();
        let component =
            |kind: &str, name: &str| Component { kind: kind.to_owned(), name: name.to_owned(), ..Component::default() };
        let mut components = ["numpy", "pandas", "six", "rich", "other"].map(|name| component("pypi", name)).to_vec();
        components.push(component("conda", "zlib"));
        components.push(component("deb", "six"));
        mark(&mut components, &[dir.path().to_path_buf()]);
        let declared: Vec<_> = components.iter().map(|component| component.declared.as_deref()).collect();
        let wanted = [Some("NumPy>=1.2"), Some("pandas==2"), Some("six"), Some("rich"), None, Some("zlib=1.3"), None];
        assert_eq!(declared, wanted);
    }
}
