//! What is checked out in a git work tree, read from its files (gitrepository-layout(5)); git is not run.

use std::path::Path;

use super::paths;
use crate::files;

/// The commit of the work tree that a directory lies in: 40 or 64 hex digits.
pub(crate) fn of(dir: &[u8]) -> Option<String> {
    let git = paths::as_path(dir).ancestors().map(|dir| dir.join(".git")).find(|git| git.exists())?;
    let git = if git.is_file() {
        // A worktree or submodule: one line names the directory.
        let text = text(&git)?;
        git.parent()?.join(text.strip_prefix("gitdir:")?.trim())
    } else {
        git
    };
    let head = text(&git.join("HEAD"))?;
    let Some(name) = head.trim().strip_prefix("ref:").map(str::trim) else { return commit(&head) };
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let common = text(&git.join("commondir")).map_or_else(|| git.clone(), |text| git.join(text.trim()));
    let loose = [&git, &common].iter().find_map(|dir| commit(&text(&dir.join(name))?));
    loose.or_else(|| {
        let packed = text(&common.join("packed-refs"))?;
        packed
            .lines()
            .find_map(|line| line.split_once(' ').filter(|(_, of)| *of == name).and_then(|(id, _)| commit(id)))
    })
}

fn text(path: &Path) -> Option<String> {
    String::from_utf8(files::read_bounded(path, 16 << 20).ok()?).ok()
}

fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    (matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_followed_to_its_commit_loose_or_packed() {
        let tree = tempfile::tempdir().unwrap();
        let git = tree.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::create_dir_all(tree.path().join("src")).unwrap();
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let inside = tree.path().join("src");
        assert_eq!(of(paths::bytes(&inside)), None);
        std::fs::write(git.join("packed-refs"), format!("# pack-refs\n{} refs/heads/main\n", "a".repeat(40))).unwrap();
        assert_eq!(of(paths::bytes(&inside)), Some("a".repeat(40)));
        std::fs::write(git.join("refs/heads/main"), format!("{}\n", "b".repeat(40))).unwrap();
        assert_eq!(of(paths::bytes(&inside)), Some("b".repeat(40)));
        std::fs::write(git.join("HEAD"), "ref: ../../x\n").unwrap();
        assert_eq!(of(paths::bytes(&inside)), None);
    }
}
