//! What the documentation says about the program, held against the program and the files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::{TestEnv, console};

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const MAKE_AGAIN: &str = "nbpack man --markdown > docs/reference.md; nbpack man --to kernelspec/data/share/man/man1";

#[test]
fn the_command_reference_is_what_the_program_gives() {
    let given = TestEnv::new().nbpack_ok(&["man", "--markdown"]);
    let committed = std::fs::read_to_string(repository().join("docs/reference.md")).unwrap();
    assert!(given == committed, "docs/reference.md is another; {MAKE_AGAIN}");
}

#[test]
fn the_manual_pages_of_the_wheel_are_what_the_program_gives() {
    let env = TestEnv::new();
    let given = env.work().join("man1");
    env.nbpack_ok(&["man", "--to", given.to_str().unwrap()]);
    let committed = repository().join("kernelspec/data/share/man/man1");
    let names = |dir: &Path| -> BTreeSet<PathBuf> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
    };
    assert_eq!(names(&given), names(&committed), "{MAKE_AGAIN}");
    for name in names(&given) {
        let text = |dir: &Path| std::fs::read_to_string(dir.join(&name)).unwrap();
        assert!(text(&given) == text(&committed), "{} is another; {MAKE_AGAIN}", name.display());
    }
}

/// Every document whose commands are run.
pub(crate) fn documents() -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    for dir in ["docs", "docs/howto"] {
        let entries = std::fs::read_dir(repository().join(dir)).unwrap();
        let names = entries.map(|entry| format!("{dir}/{}", entry.unwrap().file_name().to_str().unwrap()));
        found.extend(names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md")));
    }
    found.sort();
    found
}

fn text_of(document: &str) -> String {
    std::fs::read_to_string(repository().join(document)).unwrap()
}

#[test]
fn every_command_block_is_understood_and_few_are_not_run() {
    let (mut run, mut not_run) = (0, Vec::new());
    for document in documents() {
        let blocks = console::blocks(&text_of(&document)).unwrap_or_else(|error| panic!("{document}: {error}"));
        for block in blocks {
            match &block.not_run {
                None => run += block.steps.len(),
                Some(why) => not_run.push((block.steps.len(), format!("{document}:{}: {why}", block.line))),
            }
        }
    }
    for (count, place) in &not_run {
        eprintln!("not run ({count}): {place}");
    }
    let left: usize = not_run.iter().map(|(count, _)| count).sum();
    assert!(run > 60 && left * 4 < run, "{run} commands are run, {left} are not: {not_run:#?}");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in documents() {
        let text = text_of(&document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let (file, part) = target.split_once('#').map_or((target, None), |(file, part)| (file, Some(part)));
            let path = repository().join(&document).parent().unwrap().join(file);
            assert!(path.exists(), "{document}: `{target}` leads nowhere");
            if let Some(part) = part {
                let there = std::fs::read_to_string(&path).unwrap();
                let found = there.lines().filter_map(|line| line.strip_prefix('#')).any(|title| anchor(title) == part);
                assert!(found, "{document}: `{target}`: there is no such part");
            }
        }
    }
}

/// A title's anchor, as code hosts make it.
fn anchor(title: &str) -> String {
    let title = title.trim_start_matches('#').trim().to_lowercase();
    title
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_option_that_a_document_names_exists() {
    let reference = text_of("docs/reference.md");
    let commands: BTreeSet<&str> = reference.lines().filter_map(|line| line.strip_prefix("## nbpack ")).collect();
    for document in documents().iter().filter(|document| *document != "docs/reference.md") {
        for span in text_of(document).split('`').skip(1).step_by(2) {
            let Some(rest) = span.strip_prefix("nbpack ") else { continue };
            let verb: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if verb.is_empty() || verb.starts_with('-') {
                continue;
            }
            if !commands.contains(verb.as_str()) {
                // One that `--help` does not list.
                let there = TestEnv::new().nbpack(&[&verb, "--help"]).status.success();
                assert!(there, "{document}: `{span}`: there is no command `{verb}`");
                continue;
            }
            let own = reference.split(&format!("\n## nbpack {verb}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
            let ours = rest.split(" -- ").next().unwrap();
            for word in ours.split([' ', '=']).filter(|word| word.starts_with("--") && word.len() > 2) {
                assert!(own.contains(word) || word == "--quiet", "{document}: `{span}`: there is no `{word}`");
            }
        }
    }
}
