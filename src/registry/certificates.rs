//! Whom we believe: the certificate authorities of the system, and those an administrator set beside a registry's name.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, parse_pem};

use super::RegistryError;
use crate::files;

/// Where distributions keep all of them in one file; the first that is there counts.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Certificates of `given` (files of PEM, or directories of them), else of the system; and of `beside`, directories
/// like `/etc/docker/certs.d/HOST` that need not exist.
pub(super) fn load(given: &[PathBuf], beside: &[PathBuf]) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let mut found = Vec::new();
    for path in given {
        if path.is_dir() {
            for file in files_in(path, |_| true) {
                // Such a directory holds other things too.
                read(&file, &mut found).unwrap_or_default();
            }
        } else if !read(path, &mut found)? {
            return Err(RegistryError::Certificate { path: path.clone() });
        }
    }
    if given.is_empty()
        && let Some(system) = SYSTEM.iter().map(Path::new).find(|path| path.is_file())
    {
        read(system, &mut found)?;
    }
    for dir in beside {
        for file in files_in(dir, |path| path.extension().is_some_and(|extension| extension == "crt")) {
            if !read(&file, &mut found)? {
                return Err(RegistryError::Certificate { path: file });
            }
        }
    }
    Ok(found)
}

fn files_in(dir: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file() && wanted(path)).collect();
    found.sort();
    found
}

/// Adds the certificates of one file; whether it has any.
fn read(path: &Path, found: &mut Vec<Certificate<'static>>) -> Result<bool, RegistryError> {
    let before = found.len();
    let bytes = files::read_bounded(path, 16 << 20)?;
    for item in parse_pem(&bytes) {
        if let Ok(PemItem::Certificate(certificate)) = item {
            found.push(certificate);
        }
    }
    Ok(found.len() > before)
}
