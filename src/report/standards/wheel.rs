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
    inventory::model::EnvironmentRoot,
};

/// Files of an image: path in the image, without the leading slash, and where it lies here.
pub type Files = BTreeMap<Vec<u8>, PathBuf>;

/// A wheel that was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wheel {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `name-version-python-abi-platform.whl`.
    pub file_name: String,
    /// Of the archive.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
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

/// Rebuilds the wheel of the distribution whose `.dist-info` directory is given (as [`dist_infos`] gives it) into `to`.
///
/// `roots` say where a directory of distributions came from: of an environment that shares its prefix with other files
/// only that directory moves, and what RECORD names outside it stays at the original prefix.
pub fn rebuild(dist_info: &[u8], files: &Files, roots: &[EnvironmentRoot], to: &Path) -> Result<Wheel, WheelError> {
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
    if text("direct_url.json")?
        .is_some_and(|text| text.contains("\"editable\": true") || text.contains("\"editable\":true"))
    {
        return Err(unfit("it is an editable installation; its source is in the bundle"));
    }
    let wheel = text("WHEEL")?.ok_or_else(|| unfit("it has no WHEEL file"))?;
    let tags = tags(&wheel).ok_or_else(|| unfit("its WHEEL file names no tag"))?;
    let record = text("RECORD")?.ok_or_else(|| unfit("it has no RECORD"))?;
    let scripts = entry_points(&text("entry_points.txt")?.unwrap_or_default());
    let mut members: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in record.lines().filter_map(record_path) {
        let Some(member) = member(&path, &info, &stem, &scripts) else { continue };
        let at = in_image(site, &path).ok_or_else(|| unfit("its RECORD climbs out of the image"))?;
        let elsewhere = || files.get(&in_image(original.as_deref()?, &path)?);
        let Some(file) = files.get(&at).or_else(elsewhere) else {
            return Err(unfit(&format!("`{}` is not there", display_bytes(&at))));
        };
        members.insert(member, file.clone());
    }
    let file_name = format!("{stem}-{tags}.whl");
    if file_name.contains('/') || members.len() >= usize::from(u16::MAX) {
        return Err(unfit("it does not fit into a plain zip archive"));
    }
    let failed = |source| WheelError::Write { name: stem.clone(), source };
    let mut written = None;
    files::publish(&to.join(&file_name), 0o644, |file| -> Result<(), WheelError> {
        let mut zip = Zip::new(io::BufWriter::new(file));
        let mut record = String::new();
        for (member, path) in &members {
            let mut bytes = files::read(path)?;
            if member.starts_with(&format!("{stem}.data/scripts/")) {
                restore_interpreter(&mut bytes);
            }
            let hash = URL_SAFE_NO_PAD.encode(Digest::of(&bytes).as_bytes());
            record.push_str(&format!("{},sha256={hash},{}\n", csv(member), bytes.len()));
            let executable = std::fs::metadata(path).is_ok_and(|metadata| is_executable(&metadata));
            zip.add(member, &bytes, executable).map_err(failed)?;
        }
        let own = format!("{info}/RECORD");
        record.push_str(&format!("{},,\n", csv(&own)));
        zip.add(&own, record.as_bytes(), false).map_err(failed)?;
        written = Some(zip.finish().map_err(failed)?);
        Ok(())
    })?;
    let (digest, size) = written.ok_or_else(|| unfit("nothing was written"))?;
    Ok(Wheel { name: normalised(name), version: version.to_owned(), file_name, digest, size })
}

/// Where the directory `site` of the image lay on the recording machine, when it moved.
fn original_site(site: &[u8], roots: &[EnvironmentRoot]) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let site = Path::new("/").join(std::ffi::OsStr::from_bytes(site));
    let moved = |root: &EnvironmentRoot| Some(root.prefix.join(site.strip_prefix(&root.canonical).ok()?));
    let original = roots.iter().find_map(moved)?;
    Some(original.as_os_str().as_bytes().to_vec())
}

/// PEP 503.
fn normalised(name: &str) -> String {
    name.to_lowercase().split(['-', '_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

/// The compressed tag set: `py2.py3-none-any`.
fn tags(wheel: &str) -> Option<String> {
    let mut parts: [Vec<&str>; 3] = Default::default();
    for tag in wheel.lines().filter_map(|line| line.strip_prefix("Tag:")) {
        for (list, part) in parts.iter_mut().zip(tag.trim().splitn(3, '-')) {
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

/// The first column of a line of RECORD.
fn record_path(line: &str) -> Option<String> {
    match line.strip_prefix('"') {
        Some(quoted) => Some(quoted.get(..quoted.rfind("\",")?)?.replace("\"\"", "\"")),
        None => line.split(',').next().filter(|path| !path.is_empty()).map(str::to_owned),
    }
}

fn csv(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Where a file of RECORD lies in the wheel; `None` for what an installer wrote.
fn member(path: &str, info: &str, stem: &str, scripts: &BTreeSet<String>) -> Option<String> {
    let written = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"];
    if path.as_bytes().ends_with(b".pyc") || path.starts_with('/') {
        return None;
    }
    if let Some(name) = path.strip_prefix(info).and_then(|rest| rest.strip_prefix('/')) {
        return (!written.contains(&name)).then(|| path.to_owned());
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

/// `pylock.toml` (PEP 751) of wheels that lie in `wheels/` beside it.
pub fn pylock(wheels: &[Wheel]) -> String {
    let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"nbpack\"\n");
    let quoted = |value: &str| toml::Value::from(value).to_string();
    for wheel in wheels {
        text.push_str(&format!(
            "\n[[packages]]\nname = {}\nversion = {}\n\n[[packages.wheels]]\npath = {}\nsize = {}\nhashes = {{ sha256 = {} }}\n",
            quoted(&wheel.name),
            quoted(&wheel.version),
            quoted(&format!("wheels/{}", wheel.file_name)),
            wheel.size,
            quoted(&wheel.digest.hex()),
        ));
    }
    text
}

/// Requirements with hashes, of the same wheels. pip takes the paths from where it is started.
pub fn requirements(wheels: &[Wheel]) -> String {
    let line = |wheel: &Wheel| format!("./wheels/{} --hash=sha256:{}\n", wheel.file_name, wheel.digest.hex());
    wheels.iter().map(line).collect()
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
        assert_eq!(tags(wheel).as_deref(), Some("py2.py3-none-any"));
        assert_eq!(tags("Tag: py3\n"), None);
        assert_eq!(in_image(b"e/lib/s", "../../bin/x").unwrap(), b"e/bin/x");
        assert_eq!(in_image(b"e", "../../x"), None);
    }
}
