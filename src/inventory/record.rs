//! RECORD of an installed distribution (binary distribution format, "The .dist-info directory"): which files, and which
//! bytes they should have.

use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::paths;
use crate::{
    digest::{Digest, HashingReader},
    files,
};

/// What installers write into `.dist-info`: it differs between two installations of one wheel. The last two are uv's.
pub(crate) const BY_INSTALLERS: &[&str] =
    &["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"];

/// Seconds that clocks of a file system are coarse by, and an installer's last writes.
const SLACK: i64 = 2;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    /// As written: relative to `site-packages`, may climb, may be absolute.
    pub(crate) path: String,
    /// SHA-256 where the line has one.
    pub(crate) digest: Option<Digest>,
    /// Bytes, where the line says so.
    pub(crate) size: Option<u64>,
}

impl Line {
    /// The path on this machine.
    pub(crate) fn absolute(&self, site: &[u8]) -> Vec<u8> {
        if self.path.starts_with('/') {
            return self.path.clone().into_bytes();
        }
        let joined = paths::join(site, self.path.as_bytes());
        if self.path.starts_with("..") || self.path.contains("/..") { paths::fold(&joined) } else { joined }
    }

    /// It is bytecode, which installers make.
    pub(crate) fn is_bytecode(&self) -> bool {
        self.path.as_bytes().ends_with(b".pyc")
    }

    /// An installer writes or changes it: it differs between two installations of one wheel.
    fn is_of_the_installation(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let in_info = self.path.contains(".dist-info/");
        self.is_bytecode()
            || self.path.starts_with("..")
            || self.path.starts_with('/')
            || (in_info && BY_INSTALLERS.contains(&name))
    }
}

/// The lines in their order; one that is not understood is left out.
pub(crate) fn parse(record: &str) -> Vec<Line> {
    record.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Line> {
    let (path, rest) = match line.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.rfind("\",").or_else(|| quoted.rfind('"'))?;
            (quoted.get(..end)?.replace("\"\"", "\""), quoted.get(end + 1..)?.trim_start_matches(','))
        }
        None => line.split_once(',').map_or((line.to_owned(), ""), |(path, rest)| (path.to_owned(), rest)),
    };
    let (hash, size) = rest.split_once(',').unwrap_or((rest, ""));
    let digest = hash
        .strip_prefix("sha256=")
        .and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
        .and_then(|raw| Some(Digest::from_bytes(raw.try_into().ok()?)));
    (!path.is_empty()).then(|| Line { path, digest, size: size.trim().parse().ok() })
}

/// Names the content of a wheel, whoever installed it where: see `Component::record`. `None` without any hash.
pub(crate) fn digest(lines: &[Line]) -> Option<Digest> {
    let mut own: Vec<String> = lines
        .iter()
        .filter(|line| !line.is_of_the_installation())
        .filter_map(|line| Some(format!("{} {}\n", line.path, line.digest?.hex())))
        .collect();
    own.sort_unstable();
    (!own.is_empty()).then(|| Digest::of(own.concat().as_bytes()))
}

/// Paths of files, as RECORD has them, whose bytes are not what RECORD says. `installed` is the ctime of RECORD in seconds.
///
/// Each is compared by size; it is hashed when it was written after RECORD, which installers write last and whose ctime
/// nobody can set back. So what was not touched costs one `stat`; in a copied environment the times say nothing, and more
/// is hashed. A file that an installer linked from its cache gets a new ctime with every other environment that links it;
/// of those it must be the content's time. Scripts that an installer wrote are compared too; what is not there is named.
pub(crate) fn modified(lines: &[Line], site: &[u8], installed: i64) -> Vec<String> {
    let is_modified = |line: &&Line| {
        let Ok(metadata) = fs::metadata(paths::as_path(&line.absolute(site))) else { return true };
        let later = |time: i64| time > installed.saturating_add(SLACK);
        let is_shared = metadata.nlink() > 1 && !later(metadata.mtime());
        line.size.is_some_and(|size| size != metadata.len())
            || (later(metadata.ctime()) && !is_shared && differs(line, site))
    };
    let compared = lines.iter().filter(|line| line.digest.is_some() && !line.is_bytecode());
    let mut modified: Vec<String> = compared.filter(is_modified).map(|line| line.path.clone()).collect();
    modified.sort_unstable();
    modified
}

/// The bytes are not those of the line, or cannot be read.
fn differs(line: &Line, site: &[u8]) -> bool {
    let path = line.absolute(site);
    let Ok(file) = files::open(paths::as_path(&path)) else { return true };
    let mut reader = HashingReader::new(file);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
    Some(reader.finish().1) != line.digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_paths_may_be_quoted_climb_or_be_absolute() {
        let record = "a/b.py,sha256=x,1\n\"a/c,d.py\",,\n../../../bin/tool,sha256=y,2\n/etc/x,,\n";
        let found: Vec<_> =
            parse(record).iter().map(|line| line.absolute(b"/v/lib/python3.11/site-packages")).collect();
        let text: Vec<_> = found.iter().map(|path| String::from_utf8_lossy(path)).collect();
        let site = "/v/lib/python3.11/site-packages";
        assert_eq!(text, [&format!("{site}/a/b.py"), &format!("{site}/a/c,d.py"), "/v/bin/tool", "/etc/x"]);
    }

    fn line(path: &str, bytes: &[u8]) -> String {
        format!("{path},sha256={},{}\n", URL_SAFE_NO_PAD.encode(Digest::of(bytes).as_bytes()), bytes.len())
    }

    #[test]
    fn a_file_that_was_edited_or_removed_is_named() {
        let site = tempfile::tempdir().unwrap();
        for (name, bytes) in [("same.py", "x = 1\n"), ("edited.py", "x = 3\n")] {
            fs::write(site.path().join(name), bytes).unwrap();
        }
        let lines = parse(&[line("same.py", b"x = 1\n"), line("edited.py", b"x = 2\n"), line("gone.py", b"")].concat());
        assert_eq!(modified(&lines, paths::bytes(site.path()), 0), ["edited.py", "gone.py"]);
        // Written before RECORD was: not worth a look, as long as it has its size.
        assert_eq!(modified(&lines, paths::bytes(site.path()), i64::MAX), ["gone.py"]);
        // Linked into another environment since: its status is young, its content is not.
        let edited = site.path().join("edited.py");
        fs::hard_link(&edited, site.path().join("another")).unwrap();
        assert_eq!(modified(&lines, paths::bytes(site.path()), 0), ["edited.py", "gone.py"], "its content is young");
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        files::open(&edited).unwrap().set_modified(old).unwrap();
        assert_eq!(modified(&lines, paths::bytes(site.path()), 5), ["gone.py"]);
    }

    #[test]
    fn what_an_installer_writes_does_not_change_the_name_of_the_content() {
        let wheel = line("a.py", b"1");
        let by_pip = format!("{wheel}{}{}", line("a-1.dist-info/INSTALLER", b"pip\n"), line("../../../bin/a", b"#!/v"));
        let by_uv = format!("{}{wheel}", line("a-1.dist-info/INSTALLER", b"uv"));
        assert_eq!(digest(&parse(&by_pip)), digest(&parse(&by_uv)));
        assert_ne!(digest(&parse(&by_pip)), digest(&parse(&line("a.py", b"2"))));
        assert_eq!(digest(&parse("a.py,,\n")), None);
    }
}
