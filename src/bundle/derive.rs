//! Makes a layer's digest again from the tree that it was unpacked to.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    plan::{Content, Planned},
    tar::{self, Body, Entry},
};
use crate::{
    digest::{DiffId, HashingWriter},
    files::{self, FileError, Signature},
    inventory::model::Source,
};

/// The digest that the tree below `root` has as a layer: every byte, name, permission bit and time is in it.
///
/// What no layer can hold (a socket, a device) stands in it as an empty file, so that the digest differs.
pub fn diff_id(root: &Path) -> Result<DiffId, FileError> {
    let mut out = HashingWriter::new(io::sink());
    add_directory(&mut out, root, &[])?;
    write(&mut out, &tar::END, root)?;
    Ok(DiffId(out.finish().1))
}

/// The tree below `root` as entries of a layer, in the archive's order, to be packed again.
pub(super) fn planned(root: &Path) -> Result<Vec<Planned>, FileError> {
    let mut planned = Vec::new();
    add_planned(&mut planned, root, &[])?;
    Ok(planned)
}

fn add_planned(out: &mut Vec<Planned>, dir: &Path, name: &[u8]) -> Result<(), FileError> {
    for (path, entry) in list(dir, name)? {
        let source = match entry.body {
            // Also names that were only listed: nobody may open those.
            Body::File { size: 0 } => Some(Content::Plain(Source::Bytes(Arc::from(&[][..])))),
            Body::File { .. } => {
                let metadata = fs::symlink_metadata(&path).map_err(FileError::new("read", &path))?;
                let signature = Signature::of(&metadata);
                Some(Content::Plain(Source::Host { path: path.clone(), signature }))
            }
            _ => None,
        };
        let inner = matches!(entry.body, Body::Directory).then(|| entry.path.clone());
        out.push(Planned { entry, source });
        if let Some(inner) = inner {
            add_planned(out, &path, &inner)?;
        }
    }
    Ok(())
}

type Out = HashingWriter<io::Sink>;

fn write(out: &mut Out, bytes: &[u8], path: &Path) -> Result<(), FileError> {
    out.write_all(bytes).map_err(FileError::new("hash", path))
}

/// What a directory holds, in the archive's order.
fn list(dir: &Path, name: &[u8]) -> Result<Vec<(PathBuf, Entry)>, FileError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(FileError::new("read", dir))? {
        let entry = entry.map_err(FileError::new("read", dir))?;
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).map_err(FileError::new("read", &path))?;
        let file_name = entry.file_name().into_vec();
        let in_layer = if name.is_empty() { file_name } else { [name, b"/", &file_name].concat() };
        let body = if metadata.is_dir() {
            Body::Directory
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(FileError::new("read", &path))?;
            Body::Symlink { target: target.as_os_str().as_bytes().to_vec() }
        } else {
            Body::File { size: metadata.len() }
        };
        // Links have no permission bits of their own.
        let mode = if metadata.is_symlink() { 0o777 } else { metadata.permissions().mode() & 0o7777 };
        entries.push((path, Entry { path: in_layer, body, mode, mtime: metadata.mtime() }));
    }
    entries.sort_by_key(|(_, entry)| entry.name());
    Ok(entries)
}

fn add_directory(out: &mut Out, dir: &Path, name: &[u8]) -> Result<(), FileError> {
    for (path, entry) in list(dir, name)? {
        let header = tar::encode(&entry).unwrap_or_default();
        write(out, &header, &path)?;
        match entry.body {
            Body::Directory => add_directory(out, &path, &entry.path)?,
            Body::File { size } => add_file(out, &path, size)?,
            Body::Symlink { .. } => {}
        }
    }
    Ok(())
}

fn add_file(out: &mut Out, path: &Path, size: u64) -> Result<(), FileError> {
    let is_regular = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let read = if is_regular {
        let file = files::open(path)?;
        // A file that grows meanwhile has another digest either way.
        io::copy(&mut file.take(size), out).map_err(FileError::new("read", path))?
    } else {
        0
    };
    let pad = tar::END.get(..tar::padding(read)).unwrap_or_default();
    write(out, pad, path)
}
