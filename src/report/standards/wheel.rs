//! Wheels rebuilt from what is installed: an installed environment does not know the hashes of the archives it came
//! from, so each distribution becomes an archive again, from its RECORD, the same bytes each time.
//!
//! What installers write (scripts of entry points, INSTALLER, bytecode) stays out. Files that were changed after the
//! installation go in as they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::DeflateEncoder};

use crate::{
    digest::{Digest, HashingWriter},
    files::{self, FileError, display_bytes},
    inventory::{BY_INSTALLERS, model::EnvironmentRoot, normalise},
};

/// Files of an image: path in the image, without the leading slash, and where it lies here.
pub type Files = BTreeMap<Vec<u8>, PathBuf>;

/// A wheel that was written, or that an index has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wheel {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `name-version-python-abi-platform.whl`.
    pub file_name: String,
    /// Of one that an index has; others lie in `wheels/`.
    pub origin: Option<Origin>,
    /// Of the archive.
    pub digest: Digest,
    /// Bytes of the archive; an index may not tell.
    pub size: Option<u64>,
}

/// Where a wheel is to be had.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Origin {
    /// The index's address.
    pub index: String,
    /// The file's address.
    pub url: String,
}

/// A distribution cannot become a wheel.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Writing failed.
    #[error("cannot write the wheel of {name}")]
    Write {
        /// Distribution.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Its metadata is not what the binary distribution format asks for.
    #[error("{name} cannot become a wheel: {why}")]
    Unfit {
        /// Distribution.
        name: String,
        /// Why.
        why: String,
    },
}

/// The `.dist-info` directories with a RECORD, in order.
pub fn dist_infos(files: &Files) -> Vec<Vec<u8>> {
    files
        .keys()
        .filter_map(|path| path.strip_suffix(b".dist-info/RECORD"))
        .map(|stem| [stem, b".dist-info"].concat())
        .collect()
}

/// A distribution as its `.dist-info` directory tells of it.
#[derive(Debug)]
pub struct Installed {
    /// As its installer spelled it.
    pub name: String,
    /// As in the name of the `.dist-info` directory.
    pub version: String,
    /// The `Tag` lines of WHEEL.
    pub tags: BTreeSet<String>,
    /// Where it came from when that was no index: direct_url.json (PEP 610) is there.
    pub has_origin: bool,
    /// `name-version`.
    stem: String,
    /// `name-version-python-abi-platform.whl`.
    file_name: String,
    /// Path in the wheel to the file here, and what RECORD says of it.
    members: BTreeMap<String, (PathBuf, Option<Digest>)>,
}

impl Installed {
    /// Reads the `.dist-info` directory that is given as [`dist_infos`] gives it.
    ///
    /// `roots` say where a directory of distributions came from: of an environment that shares its prefix with other
    /// files only that directory moves, and what RECORD names outside it stays at the original prefix.
    pub fn read(dist_info: &[u8], files: &Files, roots: &[EnvironmentRoot]) -> Result<Self, WheelError> {
        let slash = dist_info.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
        let site = dist_info.get(..slash).unwrap_or_default();
        let original = original_site(site, roots);
        let info = String::from_utf8_lossy(dist_info.get(slash + 1..).unwrap_or_default()).into_owned();
        let stem = info.strip_suffix(".dist-info").unwrap_or(&info).to_owned();
        let unfit = |why: &str| WheelError::Unfit { name: stem.clone(), why: why.to_owned() };
        let (name, version) = stem.rsplit_once('-').ok_or_else(|| unfit("its directory has no version"))?;
        let text = |file: &str| -> Result<Option<String>, WheelError> {
            let path = [dist_info, b"/", file.as_bytes()].concat();
            let Some(path) = files.get(&path) else { return Ok(None) };
            Ok(Some(String::from_utf8_lossy(&files::read_bounded(path, 64 << 20)?).into_owned()))
        };
        let origin = text("direct_url.json")?;
        if origin
            .as_deref()
            .is_some_and(|text| text.contains("\"editable\": true") || text.contains("\"editable\":true"))
        {
            return Err(unfit("it is an editable installation; its source is in the bundle"));
        }
        let wheel = text("WHEEL")?.ok_or_else(|| unfit("it has no WHEEL file"))?;
        let compressed = compressed(&wheel).ok_or_else(|| unfit("its WHEEL file names no tag"))?;
        let record = text("RECORD")?.ok_or_else(|| unfit("it has no RECORD"))?;
        let scripts = entry_points(&text("entry_points.txt")?.unwrap_or_default());
        let mut members = BTreeMap::new();
        for (path, digest) in record.lines().filter_map(record_line) {
            let Some(member) = member(&path, &info, &stem, &scripts) else { continue };
            let at = in_image(site, &path).ok_or_else(|| unfit("its RECORD climbs out of the image"))?;
            let elsewhere = || files.get(&in_image(original.as_deref()?, &path)?);
            let Some(file) = files.get(&at).or_else(elsewhere) else {
                return Err(unfit(&format!("`{}` is not there", display_bytes(&at))));
            };
            members.insert(member, (file.clone(), digest));
        }
        let file_name = format!("{stem}-{compressed}.whl");
        if file_name.contains('/') || members.len() >= usize::from(u16::MAX) {
            return Err(unfit("it does not fit into a plain zip archive"));
        }
        let (name, version) = (name.to_owned(), version.to_owned());
        let tags = tags(&wheel).map(str::to_owned).collect();
        Ok(Self { name, version, tags, has_origin: origin.is_some(), stem, file_name, members })
    }

    /// The digest of its METADATA; `None` when it has none.
    pub fn metadata(&self) -> Result<Option<Digest>, FileError> {
        let member = self.members.get(&format!("{}.dist-info/METADATA", self.stem));
        member.map(|(path, _)| Ok(Digest::of(&files::read(path)?))).transpose()
    }

    /// Whether every file is what RECORD says: nobody changed it after the installation.
    pub fn is_as_recorded(&self) -> Result<bool, FileError> {
        for (path, recorded) in self.members.values() {
            let Some(recorded) = recorded else { continue };
            let mut hash = HashingWriter::new(io::sink());
            let copied = io::copy(&mut files::open(path)?, &mut hash);
            copied.map_err(FileError::new("read", path))?;
            if hash.finish().1 != *recorded {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes its wheel again, in the directory `to`.
    pub fn rebuild(&self, to: &Path) -> Result<Wheel, WheelError> {
        let failed = |source| WheelError::Write { name: self.stem.clone(), source };
        let mut written = None;
        files::publish(&to.join(&self.file_name), 0o644, |file| -> Result<(), WheelError> {
            let mut zip = Zip::new(io::BufWriter::new(file));
            let mut record = String::new();
            for (member, (path, _)) in &self.members {
                let mut bytes = files::read(path)?;
                if member.starts_with(&format!("{}.data/scripts/", self.stem)) {
                    restore_interpreter(&mut bytes);
                }
                let hash = URL_SAFE_NO_PAD.encode(Digest::of(&bytes).as_bytes());
                record.push_str(&format!("{},sha256={hash},{}\n", csv(member), bytes.len()));
                let executable = std::fs::metadata(path).is_ok_and(|metadata| is_executable(&metadata));
                zip.add(member, &bytes, executable).map_err(failed)?;
            }
            let own = format!("{}.dist-info/RECORD", self.stem);
            record.push_str(&format!("{},,\n", csv(&own)));
            zip.add(&own, record.as_bytes(), false).map_err(failed)?;
            written = Some(zip.finish().map_err(failed)?);
            Ok(())
        })?;
        let (digest, size) = written.ok_or_else(|| failed(io::Error::other("nothing was written")))?;
        let (name, version) = (normalise(&self.name), self.version.clone());
        Ok(Wheel { name, version, file_name: self.file_name.clone(), origin: None, digest, size: Some(size) })
    }
}

/// Where the directory `site` of the image lay on the recording machine, when it moved.
fn original_site(site: &[u8], roots: &[EnvironmentRoot]) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let site = Path::new("/").join(std::ffi::OsStr::from_bytes(site));
    let moved = |root: &EnvironmentRoot| Some(root.prefix.join(site.strip_prefix(&root.canonical).ok()?));
    let original = roots.iter().find_map(moved)?;
    Some(original.as_os_str().as_bytes().to_vec())
}

fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

fn tags(wheel: &str) -> impl Iterator<Item = &str> {
    wheel.lines().filter_map(|line| Some(line.strip_prefix("Tag:")?.trim()))
}

/// The compressed tag set: `py2.py3-none-any`.
fn compressed(wheel: &str) -> Option<String> {
    let mut parts: [Vec<&str>; 3] = Default::default();
    for tag in tags(wheel) {
        for (list, part) in parts.iter_mut().zip(tag.splitn(3, '-')) {
            if !list.contains(&part) {
                list.push(part);
            }
        }
    }
    let joined: Vec<String> = parts.iter().map(|list| list.join(".")).collect();
    joined.iter().all(|part| !part.is_empty()).then(|| joined.join("-"))
}

/// Names of the scripts that installers generate (entry points specification).
fn entry_points(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut generates = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            generates = matches!(line, "[console_scripts]" | "[gui_scripts]");
        } else if let (true, Some((name, _))) = (generates, line.split_once('=')) {
            found.insert(name.trim().to_owned());
        }
    }
    found
}

/// The first two columns of a line of RECORD: path, and SHA-256 where it has one.
fn record_line(line: &str) -> Option<(String, Option<Digest>)> {
    let (path, rest) = match line.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.rfind("\",")?;
            (quoted.get(..end)?.replace("\"\"", "\""), quoted.get(end + 2..)?)
        }
        None => {
            let (path, rest) = line.split_once(',')?;
            (path.to_owned(), rest)
        }
    };
    let hash = rest.split(',').next().and_then(|hash| hash.strip_prefix("sha256="));
    let digest = hash.and_then(|hash| URL_SAFE_NO_PAD.decode(hash.trim_end_matches('=')).ok()?.try_into().ok());
    Some((path, digest.map(Digest::from_bytes))).filter(|(path, _)| !path.is_empty())
}

fn csv(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Where a file of RECORD lies in the wheel; `None` for what an installer wrote.
fn member(path: &str, info: &str, stem: &str, scripts: &BTreeSet<String>) -> Option<String> {
    if path.as_bytes().ends_with(b".pyc") || path.starts_with('/') {
        return None;
    }
    if let Some(name) = path.strip_prefix(info).and_then(|rest| rest.strip_prefix('/')) {
        return (!BY_INSTALLERS.contains(&name)).then(|| path.to_owned());
    }
    if !path.starts_with("../") {
        return Some(path.to_owned());
    }
    let below = path.trim_start_matches("../");
    match below.split_once('/') {
        Some(("bin", name)) if scripts.contains(name) => None,
        Some(("bin", name)) => Some(format!("{stem}.data/scripts/{name}")),
        Some(("include", rest)) if rest.starts_with("site/") => {
            let headers = rest.splitn(4, '/').nth(3)?;
            Some(format!("{stem}.data/headers/{headers}"))
        }
        _ => Some(format!("{stem}.data/data/{below}")),
    }
}

/// Folds a path of RECORD into a path in the image.
fn in_image(site: &[u8], path: &str) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = site.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in path.as_bytes().split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// `#!/…/python` was `#!python` in the wheel (binary distribution format, "Recommended installer features").
fn restore_interpreter(bytes: &mut Vec<u8>) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let first = bytes.get(..end).unwrap_or_default();
    if first.starts_with(b"#!") && memchr::memmem::find(first, b"python").is_some() {
        bytes.splice(..end, *b"#!python");
    }
}

/// A zip archive (APPNOTE 6.3.3) without times, comments and extra fields.
struct Zip<W: io::Write> {
    out: HashingWriter<W>,
    central: Vec<u8>,
    count: u16,
}

impl<W: io::Write> Zip<W> {
    fn new(out: W) -> Self {
        Self { out: HashingWriter::new(out), central: Vec::new(), count: 0 }
    }

    fn add(&mut self, name: &str, bytes: &[u8], executable: bool) -> io::Result<()> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(bytes)?;
        let packed = encoder.finish()?;
        let small = |n: u64| u32::try_from(n).map_err(|_| io::Error::other("4 GiB and more do not fit into it"));
        let (offset, size, length) =
            (small(self.out.count())?, small(packed.len() as u64)?, small(bytes.len() as u64)?);
        let name_length = u16::try_from(name.len()).map_err(|_| io::Error::other("a name is too long"))?;
        // Version 2.0, names in UTF-8, deflate, 1980-01-01 00:00.
        let mut common = Vec::new();
        for word in [20_u16, 0x0800, 8, 0, 0x0021] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        for word in [crc32fast::hash(bytes), size, length] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        common.extend_from_slice(&name_length.to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        self.out.write_all(b"PK\x03\x04")?;
        self.out.write_all(&common)?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&packed)?;
        // Made by Unix: the upper half of the attributes is the mode.
        self.central.extend_from_slice(b"PK\x01\x02\x14\x03");
        self.central.extend_from_slice(&common);
        self.central.extend_from_slice(&[0; 6]);
        let mode: u32 = if executable { 0o100_755 } else { 0o100_644 };
        self.central.extend_from_slice(&(mode << 16).to_le_bytes());
        self.central.extend_from_slice(&offset.to_le_bytes());
        self.central.extend_from_slice(name.as_bytes());
        self.count += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<(Digest, u64)> {
        let too_large = |_| io::Error::other("4 GiB and more do not fit into it");
        let offset = u32::try_from(self.out.count()).map_err(too_large)?;
        let size = u32::try_from(self.central.len()).map_err(too_large)?;
        self.out.write_all(&self.central)?;
        self.out.write_all(b"PK\x05\x06\0\0\0\0")?;
        self.out.write_all(&self.count.to_le_bytes())?;
        self.out.write_all(&self.count.to_le_bytes())?;
        self.out.write_all(&size.to_le_bytes())?;
        self.out.write_all(&offset.to_le_bytes())?;
        self.out.write_all(&[0, 0])?;
        let (mut inner, digest, count) = self.out.finish();
        inner.flush()?;
        Ok((digest, count))
    }
}

/// `pylock.toml` (PEP 751) of wheels that an index has or that lie in `wheels/` beside it.
pub fn pylock(wheels: &[Wheel]) -> String {
    let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"nbpack\"\n");
    let quoted = |value: &str| toml::Value::from(value).to_string();
    for wheel in wheels {
        text.push_str(&format!(
            "\n[[packages]]\nname = {}\nversion = {}\n",
            quoted(&wheel.name),
            quoted(&wheel.version)
        ));
        if let Some(origin) = &wheel.origin {
            text.push_str(&format!("index = {}\n", quoted(&origin.index)));
        }
        text.push_str("\n[[packages.wheels]]\n");
        match &wheel.origin {
            Some(origin) => {
                text.push_str(&format!("name = {}\nurl = {}\n", quoted(&wheel.file_name), quoted(&origin.url)));
            }
            None => text.push_str(&format!("path = {}\n", quoted(&format!("wheels/{}", wheel.file_name)))),
        }
        if let Some(size) = wheel.size {
            text.push_str(&format!("size = {size}\n"));
        }
        text.push_str(&format!("hashes = {{ sha256 = {} }}\n", quoted(&wheel.digest.hex())));
    }
    text
}

/// Requirements with hashes, of the same wheels. pip takes the paths from where it is started.
pub fn requirements(wheels: &[Wheel]) -> String {
    let indexes: BTreeSet<&str> =
        wheels.iter().filter_map(|wheel| Some(wheel.origin.as_ref()?.index.as_str())).collect();
    let mut text = String::new();
    for (at, index) in indexes.iter().enumerate() {
        text.push_str(&format!("{} {index}\n", if at == 0 { "--index-url" } else { "--extra-index-url" }));
    }
    for wheel in wheels {
        match &wheel.origin {
            Some(_) => text.push_str(&format!("{}=={}", wheel.name, wheel.version)),
            None => text.push_str(&format!("./wheels/{}", wheel.file_name)),
        }
        text.push_str(&format!(" --hash=sha256:{}\n", wheel.digest.hex()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_entry_points_stay_out_and_others_return_to_their_places() {
        let scripts = entry_points("[console_scripts]\ntool = a:main\n[x]\nother = b\n");
        let of = |path: &str| member(path, "a-1.dist-info", "a-1", &scripts);
        assert_eq!(of("../../../bin/tool"), None);
        assert_eq!(of("../../../bin/other").as_deref(), Some("a-1.data/scripts/other"));
        assert_eq!(of("../../../share/a/x").as_deref(), Some("a-1.data/data/share/a/x"));
        assert_eq!(of("../../../include/site/python3.11/a/x.h").as_deref(), Some("a-1.data/headers/x.h"));
        assert_eq!(of("a-1.dist-info/INSTALLER"), None);
        assert_eq!(of("a-1.dist-info/METADATA").as_deref(), Some("a-1.dist-info/METADATA"));
        assert_eq!(of("a/__pycache__/b.pyc"), None);
    }

    #[test]
    fn tags_are_compressed_and_paths_stay_in_the_image() {
        let wheel = "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n";
        assert_eq!(compressed(wheel).as_deref(), Some("py2.py3-none-any"));
        assert_eq!(compressed("Tag: py3\n"), None);
        assert_eq!(in_image(b"e/lib/s", "../../bin/x").unwrap(), b"e/bin/x");
        assert_eq!(in_image(b"e", "../../x"), None);
    }
}
