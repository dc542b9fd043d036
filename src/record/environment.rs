//! Which environment values may be written down. Names always; values where a run elsewhere needs them.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
};

const NAMES: &[&str] = &[
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PROJ_LIB",
    "GDAL_DATA",
    "HF_HOME",
    "R_HOME",
    "MPLBACKEND",
    "MPLCONFIGDIR",
    "CUDA_VISIBLE_DEVICES",
    "JUPYTER_PATH",
    "JPY_SESSION_NAME",
    "PWD",
];
const PREFIXES: &[&str] =
    &["LC_", "PYTHON", "R_LIBS", "XDG_", "OMP_", "MKL_", "OPENBLAS_", "NUMBA_", "NUMEXPR_", "CONDA_", "PYDEVD_"];
/// Even a path stays out when its name says what it is.
const SECRET_NAMES: &[&str] = &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "APIKEY", "API_KEY", "PRIVATE"];

/// For each variable its value where it may be kept. `spec` is the kernelspec's own `env`. An environment that is
/// `restored` comes out of a bundle, where only allowed values are, and its paths are none of this machine.
pub(super) fn allowed(
    env: &BTreeMap<OsString, OsString>,
    spec: &BTreeMap<String, String>,
    restored: bool,
) -> BTreeMap<String, Option<String>> {
    env.iter()
        .map(|(name, value)| {
            let name = name.to_string_lossy().into_owned();
            let keep = spec.contains_key(&name)
                || is_listed(&name)
                || (!sounds_secret(&name) && (restored || names_paths(value)));
            let value = keep.then(|| value.to_str().map(str::to_owned)).flatten();
            (name, value)
        })
        .collect()
}

fn is_listed(name: &str) -> bool {
    !sounds_secret(name) && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    SECRET_NAMES.iter().any(|word| name.contains(word))
}

/// The value is an existing absolute path, or a list of them.
fn names_paths(value: &OsStr) -> bool {
    let Some(text) = value.to_str() else { return false };
    !text.is_empty() && text.split(':').all(|part| part.starts_with('/') && Path::new(part).exists())
}

/// Variables whose names stand in this code: a run elsewhere asks for them.
pub(super) fn named_in<'a>(code: &str, env: &'a BTreeMap<OsString, OsString>) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| word.len() > 1);
    for word in words {
        if let Some((name, value)) = env.get_key_value(OsStr::new(word))
            && let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && !found.contains(&(name, value))
        {
            found.push((name, value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn values_are_denied_unless_a_run_elsewhere_needs_them() {
        let env = env(&[
            ("PATH", "/nowhere"),
            ("LC_ALL", "C"),
            ("JUPYTERHUB_API_TOKEN", "abc"),
            ("CONDA_TOKEN", "abc"),
            ("DATA_DIR", "/usr:/bin"),
            ("HF_TOKEN_PATH", "/usr"),
            ("OTHER", "/usr:relative"),
            ("FROM_SPEC", "x"),
        ]);
        let spec = BTreeMap::from([("FROM_SPEC".to_owned(), "x".to_owned())]);
        let kept: Vec<String> =
            allowed(&env, &spec, false).into_iter().filter_map(|(name, value)| value.map(|_| name)).collect();
        assert_eq!(kept, ["DATA_DIR", "FROM_SPEC", "LC_ALL", "PATH"]);
        assert_eq!(allowed(&env, &spec, false).len(), env.len(), "names are always kept");
        let restored = allowed(&env, &spec, true);
        assert!(restored.get("OTHER").is_some_and(Option::is_some), "out of a bundle, whatever is on this machine");
        assert!(restored.get("HF_TOKEN_PATH").is_some_and(Option::is_none));
    }

    #[test]
    fn a_variable_that_the_code_names_is_found() {
        let env = env(&[("MODEL_SIZE", "7"), ("SIZE", "8")]);
        assert_eq!(named_in("n = int(os.environ['MODEL_SIZE'])", &env), [("MODEL_SIZE", "7")]);
    }
}
