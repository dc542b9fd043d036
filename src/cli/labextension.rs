//! The extension of JupyterLab and Notebook: the same files as in the wheel, for a Jupyter that got its kernelspec from
//! `nbpack install`.

#[path = "../../labextension/files.rs"]
mod files;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    files::{FileError, create_dir, parent, publish_bytes, read},
    jupyter::kernelspec,
};

/// Where it lies for a Jupyter that finds kernelspecs in `kernels`.
fn place(kernels: &Path) -> PathBuf {
    parent(kernels).join("labextensions/nbpack")
}

/// Puts it beside the kernelspecs, over another version of it, in one step; its directory.
pub(super) fn install(kernels: &Path) -> anyhow::Result<PathBuf> {
    let target = place(kernels);
    let is_there = |(name, bytes): &(&str, &[u8])| read(&target.join(name)).is_ok_and(|there| there == *bytes);
    if files::FILES.iter().all(is_there) {
        return Ok(target);
    }
    let dir = parent(&target);
    create_dir(dir)?;
    let fresh = tempfile::Builder::new()
        .prefix(".nbpack-")
        .permissions(PermissionsExt::from_mode(0o755))
        .tempdir_in(dir)
        .map_err(FileError::new("create a directory in", dir))?;
    for (name, bytes) in files::FILES {
        let path = fresh.path().join(name);
        create_dir(parent(&path))?;
        publish_bytes(&path, 0o644, bytes)?;
    }
    let old = if target.exists() {
        let old = tempfile::Builder::new().prefix(".nbpack-").tempdir_in(dir);
        let old = old.map_err(FileError::new("create a directory in", dir))?;
        std::fs::rename(&target, old.path().join("old")).map_err(FileError::new("replace", &target))?;
        Some(old)
    } else {
        None
    };
    std::fs::rename(fresh.keep(), &target).map_err(FileError::new("write", &target))?;
    drop(old);
    Ok(target)
}

/// Removes it where no kernel of ours is left beside it; its directory, if it was there.
pub(super) fn remove_unused(kernels: &Path) -> anyhow::Result<Option<PathBuf>> {
    let target = place(kernels);
    let left = std::fs::read_dir(kernels).into_iter().flatten().flatten();
    let is_ours = |dir: &Path| kernelspec::read(dir).is_ok_and(|spec| spec.is_ours());
    if !target.is_dir() || left.map(|entry| entry.path()).any(|dir| is_ours(&dir)) {
        return Ok(None);
    }
    std::fs::remove_dir_all(&target).map_err(FileError::new("remove", &target))?;
    Ok(Some(target))
}
