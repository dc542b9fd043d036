//! The signatures that travel with a bundle: one member of the archive after all others, one file of a layout directory.
//!
//! The manifest's digest is what is signed, so they cannot be under it. They are the only bytes of a bundle that may
//! come and go without changing what it is.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::{
    access::{Access, Archive},
    atomic::Pending,
    image::Member,
    json,
    read::{Bundle, ReadError},
    tar,
};
use crate::{
    files::{self, FileError},
    signature::Signature,
};

/// Its name.
pub(super) const NAME: &str = "signatures.json";
/// More than anybody needs.
const MOST: usize = 64;

impl Bundle {
    /// The signatures that came with it, none of them checked.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Gives it signatures that came by another way than its file: a registry keeps them beside the image. At most 64 are
    /// taken.
    pub fn set_signatures(&mut self, mut signatures: Vec<Signature>) {
        signatures.truncate(MOST);
        self.signatures = signatures;
    }
}

/// Reads what came with the blobs; none is no error.
pub(super) fn read(access: &Access) -> Result<Vec<Signature>, ReadError> {
    let Some(bytes) = access.named(NAME)? else { return Ok(Vec::new()) };
    let signatures: Vec<Signature> =
        json::parse(&bytes).map_err(|source| ReadError::Document { document: NAME.to_owned(), source })?;
    if signatures.is_empty() || signatures.len() > MOST {
        let what = format!("holds {} signatures; 1 to {MOST} are taken", signatures.len());
        return Err(ReadError::Refused { document: NAME, what });
    }
    Ok(signatures)
}

/// The member that holds them; `None` when there are none.
pub(super) fn member(signatures: &[Signature]) -> Option<Member> {
    let mut sorted = signatures.to_vec();
    sorted.sort();
    sorted.dedup();
    let value = serde_json::to_value(sorted).unwrap_or_default();
    (!signatures.is_empty()).then(|| Member::Inline(NAME, json::encode(&value)))
}

/// Writes the bundle at `path` anew, with `signatures` in the place of those that it had. Its blobs are copied and not
/// read; whatever goes wrong leaves the old file as it was.
pub fn replace(path: &Path, signatures: &[Signature]) -> Result<(), ReadError> {
    let member = member(signatures);
    if fs::metadata(path).map_err(FileError::new("read", path))?.is_dir() {
        let file = path.join(NAME);
        match member {
            Some(Member::Inline(_, bytes)) => files::publish_bytes(&file, 0o644, &bytes)?,
            _ => fs::remove_file(&file).map_err(FileError::new("remove", &file))?,
        }
        return Ok(());
    }
    let archive = Archive::scan(path)?;
    let keep = archive.end_without(NAME.as_bytes())?;
    let mut pending = Pending::new_in(files::parent(path))?;
    let out = pending.file();
    let mut write = || -> io::Result<u64> {
        // From file to file: copied inside Linux (copy_file_range).
        let copied = io::copy(&mut io::Read::take(&*archive.file, keep), out)?;
        if let Some(member) = &member {
            out.write_all(&member.header())?;
            if let Member::Inline(_, bytes) = member {
                out.write_all(bytes)?;
            }
            out.write_all(tar::END.get(..tar::padding(member.size())).unwrap_or_default())?;
        }
        out.write_all(&tar::END)?;
        Ok(copied)
    };
    let copied = write().map_err(FileError::new("write", path))?;
    if copied != keep {
        return Err(ReadError::Archive { offset: copied, what: "the file shrank".to_owned() });
    }
    let mode = archive.file.metadata().map_err(FileError::new("read", path))?.permissions().mode();
    drop(pending.publish(path, mode & 0o777)?);
    Ok(())
}
