//! What the documentation says about the program, held against the program and the files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::TestEnv;

fn repository() -> &'static Path {
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
