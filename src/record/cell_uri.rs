//! The address by which VS Code names a cell.

use std::path::PathBuf;

/// The notebook in a cell's URI as VS Code gives it: `vscode-notebook-cell:/home/me/a%20b.ipynb#W0sZmlsZQ%3D%3D`.
pub(super) fn notebook_of_cell_uri(cell_id: &str) -> Option<PathBuf> {
    let rest = cell_id.strip_prefix("vscode-notebook-cell:")?;
    let path = rest.split('#').next()?.split('?').next()?;
    let path =
        path.strip_prefix("//").map_or(path, |with_host| with_host.find('/').map_or("", |at| with_host.split_at(at).1));
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [a, b, after @ ..]) => {
                let digit = |c: &u8| char::from(*c).to_digit(16);
                bytes.push(u8::try_from(digit(a)? * 16 + digit(b)?).ok()?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    let path = super::paths::as_path(&bytes).to_owned();
    (path.is_absolute() && path.extension().is_some_and(|extension| extension == "ipynb")).then_some(path)
}
