//! The last resort, and only where a person asked for it: the copy of the layers without a root of its own.
//!
//! What is read by its path as recorded is this machine's file or none. To come near, links, scripts and `pyvenv.cfg` in the copy
//! are made to name the copy, the command is started by the copy's own loader (`ld.so(8)`) with the copy's libraries, and what of
//! the environment and the arguments names something in the copy names it there. Programs that the command starts run
//! with this machine's loader. Nothing is isolated.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use super::{
    Failed, Step,
    merge::remove_tree,
    setup,
    spec::{Bind, OWN_DIR, Spec},
};
use crate::{files, inventory::elf};

/// `BINPRM_BUF_SIZE` of Linux, less the newline: a longer first line is not one.
const LONGEST_SHEBANG: usize = 255;
/// Scripts, `pyvenv.cfg` and connection files are smaller.
const LARGEST_TEXT: u64 = 1 << 20;
/// A script that names a script that names …: Linux stops there too.
const MOST_INTERPRETERS: usize = 5;
/// Where a loader looks that nobody told anything (`ld.so(8)`).
const LIBRARIES: [&str; 7] = [
    "/usr/local/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// What is started instead of the command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Started {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
}

/// Makes the copy name itself, and puts links to this machine's volumes into it.
pub(super) fn prepare(spec: &Spec) -> Result<(), Failed> {
    let root = spec.run_dir.join(setup::COPY);
    name_itself(&root, &root).map_err(Failed::at(Step::Files, "make the copy's links lead into it"))?;
    let path = spec.env.get("PATH").map_or("", String::as_str);
    for dir in path.split(':').filter(|dir| dir.starts_with('/')) {
        // Before volumes are there, and never by a link that leads out: this machine's scripts are not ours to write.
        let place = within(&root, dir);
        let Ok(entries) = leads_into(&root, &place).and_then(|()| fs::read_dir(&place)) else { continue };
        for entry in entries.flatten() {
            // A script that stays as it was starts with this machine's interpreter, or not at all.
            name_interpreter(&root, &entry.path()).unwrap_or_default();
        }
    }
    for bind in &spec.binds {
        show(&root, bind).map_err(Failed::at(Step::Bind, format!("show `{}`", bind.target.display())))?;
    }
    Ok(())
}

/// The command in terms of this machine.
pub(super) fn command(spec: &Spec) -> Result<Started, Failed> {
    let root = spec.run_dir.join(setup::COPY);
    let own = spec.binds.iter().find(|bind| bind.is_own()).map(|bind| bind.host.as_path());
    let mut env: BTreeMap<String, String> =
        spec.env.iter().map(|(name, value)| (name.clone(), mapped(&root, own, value))).collect();
    let path = env.entry("PATH".to_owned()).or_default();
    if !path.is_empty() {
        path.push(':');
    }
    path.push_str("/usr/local/bin:/usr/bin:/bin");
    let missing = |what: String| Failed { step: Step::Exec, what, errno: libc::ENOENT };
    let name = spec.argv.first().map_or("", String::as_str);
    let found = if name.contains('/') {
        Some(within(&root, name)).filter(|file| file.is_file())
    } else {
        path.split(':').map(|dir| Path::new(dir).join(name)).find(|file| !name.is_empty() && file.is_file())
    };
    let mut program = found.ok_or_else(|| missing(format!("find the program `{name}` in the copy")))?;
    let mut arguments: Vec<OsString> = spec.argv.iter().skip(1).map(|word| mapped(&root, own, word).into()).collect();
    let failed = |path: &Path| Failed::at(Step::Exec, format!("read `{}`", path.display()));
    for _ in 0..MOST_INTERPRETERS {
        let Some((interpreter, word)) = shebang(&program).map_err(failed(&program))? else { break };
        arguments.insert(0, program.into());
        if let Some(word) = word {
            arguments.insert(0, word.into());
        }
        program = if interpreter.starts_with(&root) { interpreter } else { within(&root, &interpreter) };
    }
    if program.starts_with(&root)
        && let Some(loader) = interpreter(&program).map_err(failed(&program))?
    {
        let first = [OsString::from("--library-path"), libraries(&root, &program).into(), program.into()];
        arguments.splice(0..0, first);
        program = within(&root, &loader);
    }
    let cwd = within(&root, &spec.cwd);
    Ok(Started { program: program.into(), arguments, env, cwd })
}

/// A path of the inside as one of this machine.
fn within(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let mut place = root.to_owned();
    for component in path.as_ref().components() {
        match component {
            Component::Normal(name) => place.push(name),
            Component::ParentDir if place != root => drop(place.pop()),
            _ => {}
        }
    }
    place
}

/// A value in which each absolute path that is in the copy is one of this machine; lists are separated by colons.
fn mapped(root: &Path, own: Option<&Path>, value: &str) -> String {
    let one = |part: &str| {
        if let (Some(own), Some(rest)) = (own, part.strip_prefix(OWN_DIR)) {
            return format!("{}{rest}", own.display());
        }
        let is_there = part.starts_with('/') && part.len() > 1 && within(root, part).symlink_metadata().is_ok();
        if is_there { within(root, part).display().to_string() } else { part.to_owned() }
    };
    value.split(':').map(one).collect::<Vec<_>>().join(":")
}

/// Lets absolute links and `pyvenv.cfg` below `dir` name what they mean in the copy.
fn name_itself(root: &Path, dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_symlink() {
            let target = fs::read_link(&path)?;
            if target.is_absolute() || climbs_out(root, dir, &target) {
                let inside = Path::new("/").join(dir.strip_prefix(root).unwrap_or(Path::new(""))).join(target);
                fs::remove_file(&path)?;
                std::os::unix::fs::symlink(within(root, inside), &path)?;
            }
        } else if kind.is_dir() {
            name_itself(root, &path)?;
        } else if entry.file_name() == "pyvenv.cfg" {
            let text = files::read_bounded(&path, LARGEST_TEXT).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let line = |line: &str| match line.split_once('=') {
                Some((name, place)) if name.trim() == "home" && place.trim().starts_with('/') => {
                    format!("home = {}", within(root, place.trim()).display())
                }
                _ => line.to_owned(),
            };
            fs::write(&path, text.lines().map(line).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(())
}

/// Refuses a place that is not in the copy: a link may lead out by way of another one.
fn leads_into(root: &Path, place: &Path) -> io::Result<()> {
    let is_inside = place.canonicalize()?.starts_with(root.canonicalize()?);
    is_inside.then_some(()).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Whether a link in `dir`, which leads to the root of the copy by as many `..` as it is deep, goes on beyond it.
fn climbs_out(root: &Path, dir: &Path, target: &Path) -> bool {
    let mut depth = dir.strip_prefix(root).map_or(0, |inside| inside.components().count());
    target.components().any(|component| match component {
        Component::ParentDir => depth.checked_sub(1).map(|less| depth = less).is_none(),
        Component::Normal(_) => {
            depth += 1;
            false
        }
        _ => false,
    })
}

/// A link in the copy to what a volume shows. The run's own directory is named in its connection file.
fn show(root: &Path, bind: &Bind) -> io::Result<()> {
    if bind.is_own() {
        return rename_sockets(&bind.host);
    }
    let target = within(root, &bind.target);
    let parent = target.parent().unwrap_or(root);
    let there = parent.ancestors().find(|place| place.symlink_metadata().is_ok()).unwrap_or(root);
    leads_into(root, there)?;
    fs::create_dir_all(parent)?;
    remove_tree(&target).map_err(|error| error.source)?;
    std::os::unix::fs::symlink(&bind.host, &target)
}

/// The kernel's sockets are where the proxy sees them.
fn rename_sockets(own: &Path) -> io::Result<()> {
    for entry in fs::read_dir(own)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let bytes = files::read_bounded(&path, LARGEST_TEXT).map_err(|error| error.source)?;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            fs::write(&path, text.replace(OWN_DIR, &own.display().to_string()))?;
        }
    }
    Ok(())
}

/// Lets a script's first line name its interpreter in the copy, where that fits.
fn name_interpreter(root: &Path, path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 || metadata.len() > LARGEST_TEXT {
        return Ok(());
    }
    let Some((interpreter, word)) = shebang(path)? else { return Ok(()) };
    let place = within(root, &interpreter);
    let mut line = format!("#!{}", place.display());
    if let Some(word) = word {
        line.push(' ');
        line.push_str(&word);
    }
    if line.len() > LONGEST_SHEBANG || !place.is_file() || interpreter.starts_with(root) {
        return Ok(());
    }
    let text = fs::read(path)?;
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let mut changed = line.into_bytes();
    changed.extend_from_slice(text.get(end..).unwrap_or_default());
    fs::write(path, changed)
}

/// The interpreter of a script and the one word behind it (`execve(2)`).
fn shebang(path: &Path) -> io::Result<Option<(PathBuf, Option<String>)>> {
    let mut start = vec![0; LONGEST_SHEBANG];
    let read = files::open(path).map_err(|error| error.source)?.read_at(&mut start, 0)?;
    start.truncate(read);
    let Some(line) = start.strip_prefix(b"#!") else { return Ok(None) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim().to_owned();
    let (interpreter, word) = line.split_once([' ', '\t']).map_or((line.as_str(), ""), |(a, b)| (a, b.trim()));
    Ok(Some((interpreter.into(), Some(word.to_owned()).filter(|word| !word.is_empty()))))
}

/// The loader that a program asks for; `None` where it needs none.
fn interpreter(path: &Path) -> io::Result<Option<String>> {
    let file = files::open(path).map_err(|error| error.source)?;
    let loader = elf::read(&file)?.and_then(|program| program.interpreter);
    Ok(loader.map(|path| String::from_utf8_lossy(&path).into_owned()))
}

/// Where the copy's loader is to look: beside the program, as its `ld.so.conf` says, and where it would without one.
fn libraries(root: &Path, program: &Path) -> String {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let mut places: Vec<PathBuf> =
        real.parent().and_then(Path::parent).map(|prefix| prefix.join("lib")).into_iter().collect();
    let mut lists = vec![within(root, "/etc/ld.so.conf")];
    let more = fs::read_dir(within(root, "/etc/ld.so.conf.d")).into_iter().flatten().flatten();
    lists.extend(more.map(|entry| entry.path()));
    for list in lists {
        let text = files::read_bounded(&list, LARGEST_TEXT).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        places.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(|line| within(root, line)));
    }
    places.extend(LIBRARIES.iter().map(|place| within(root, place)));
    let places = places.iter().filter(|place| place.is_dir()).map(|place| place.display().to_string());
    places.collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("copy");
        for place in ["usr/bin", "env/bin", "data"] {
            fs::create_dir_all(root.join(place)).unwrap();
        }
        (dir, root)
    }

    #[test]
    fn links_scripts_and_the_environments_home_lead_into_the_copy() {
        let (_dir, root) = root();
        std::os::unix::fs::symlink("/usr/bin/python3", root.join("env/bin/python")).unwrap();
        std::os::unix::fs::symlink("../../../../etc", root.join("env/up")).unwrap();
        fs::write(root.join("usr/bin/python3"), "").unwrap();
        fs::write(root.join("env/pyvenv.cfg"), "home = /usr/bin\nversion = 3").unwrap();
        fs::write(root.join("env/bin/pip"), "#!/env/bin/python -s\nimport pip\n").unwrap();
        fs::set_permissions(root.join("env/bin/pip"), fs::Permissions::from_mode(0o755)).unwrap();
        name_itself(&root, &root).unwrap();
        assert_eq!(fs::read_link(root.join("env/up")).unwrap(), root.join("etc"));
        name_interpreter(&root, &root.join("env/bin/pip")).unwrap();
        assert_eq!(fs::read_link(root.join("env/bin/python")).unwrap(), root.join("usr/bin/python3"));
        let home = format!("home = {}/usr/bin\nversion = 3", root.display());
        assert_eq!(fs::read_to_string(root.join("env/pyvenv.cfg")).unwrap(), home);
        let script = format!("#!{}/env/bin/python -s\nimport pip\n", root.display());
        assert_eq!(fs::read_to_string(root.join("env/bin/pip")).unwrap(), script);
    }

    #[test]
    fn what_a_volume_or_a_link_shows_of_this_machine_is_not_written() {
        let (dir, root) = root();
        let outside = dir.path().canonicalize().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        for script in [outside.join("tool"), root.join("usr/bin/own")] {
            fs::write(&script, "#!/usr/bin/python3\n").unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(root.join("usr/bin/python3"), "").unwrap();
        // Out by way of a link to the root itself.
        std::os::unix::fs::symlink("/", root.join("env/top")).unwrap();
        std::os::unix::fs::symlink("env/top/../outside", root.join("out")).unwrap();
        let mut spec = Spec::machine(root.clone(), dir.path().canonicalize().unwrap(), 0, BTreeMap::new(), Vec::new());
        spec.env.insert("PATH".to_owned(), "/usr/bin:/data/given:/out".to_owned());
        spec.binds.push(Bind { host: outside.clone(), target: "/data/given".into(), read_only: false });
        prepare(&spec).unwrap();
        assert_eq!(fs::read(root.join("data/given/tool")).unwrap(), b"#!/usr/bin/python3\n");
        assert!(root.join("out/tool").exists(), "the link leads out");
        let own = fs::read_to_string(root.join("usr/bin/own")).unwrap();
        assert_eq!(own, format!("#!{}/usr/bin/python3\n", root.display()));
    }

    #[test]
    fn values_and_paths_stay_in_the_copy() {
        let (_dir, root) = root();
        assert_eq!(within(&root, "/../../etc/../data"), root.join("data"));
        let own = Path::new("/tmp/own");
        let text = format!("{0}/usr/bin:{0}/data:/nowhere:x", root.display());
        assert_eq!(mapped(&root, Some(own), "/usr/bin:/data:/nowhere:x"), text);
        assert_eq!(mapped(&root, Some(own), "/run/nbpack/connection.json"), "/tmp/own/connection.json");
    }

    #[test]
    fn a_loader_is_read_from_a_program_and_from_nothing_else() {
        let (_dir, root) = root();
        let loader = interpreter(Path::new("/bin/sh")).unwrap().unwrap();
        assert!(loader.contains("ld-") && Path::new(&loader).exists(), "{loader}");
        for bytes in [&b"#!/bin/sh"[..], b"\x7fELF\x02\x01", &[0x7f, b'E', b'L', b'F', 2, 1, 255, 255]] {
            fs::write(root.join("data/x"), bytes).unwrap();
            assert_eq!(interpreter(&root.join("data/x")).unwrap(), None);
        }
    }
}
