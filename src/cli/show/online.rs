//! `--online`: which package index the user's own tools ask, and which of its files were installed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{
    cli::{Context, failure::Failure, remote},
    files,
    inventory::normalise,
    package_index::{Index, Wanted},
    report::standards::wheel::{Installed, Origin, Wheel},
};

/// The indexes that were named, else those that pip and uv are set to; the first that has a file counts.
pub(super) fn indexes(named: &str, context: &Context) -> anyhow::Result<Vec<Index>> {
    let mut urls = if named.is_empty() { set(context) } else { vec![named.to_owned()] };
    if urls.is_empty() {
        urls.extend(built_in(context));
    }
    if urls.is_empty() {
        return Err(Failure::unable("neither pip nor uv is set to a package index")
            .hint("name yours: --online=URL, the address that pip would take as --index-url")
            .into());
    }
    let settings = remote::web_settings(context);
    let index = |url: &String| Index::new(url, &settings).context(Failure::unable("the package index cannot be used"));
    urls.iter().map(index).collect()
}

/// The wheel of an index that was installed; `None` when no index has it, or when it was changed after that.
pub(super) fn find(installed: &Installed, indexes: &[Index]) -> anyhow::Result<Option<Wheel>> {
    // What came from a checkout or a file has the name of a public project at best by chance.
    if installed.has_origin {
        return Ok(None);
    }
    let Some(metadata) = installed.metadata()? else { return Ok(None) };
    let wanted = Wanted { name: &installed.name, version: &installed.version, tags: &installed.tags, metadata };
    for index in indexes {
        let found = index.find(&wanted).context(Failure::unable("the package index cannot be asked"))?;
        if let Some(file) = found {
            return Ok(installed.is_as_recorded()?.then(|| Wheel {
                name: normalise(&installed.name),
                version: installed.version.clone(),
                file_name: file.file_name,
                origin: Some(Origin { index: index.url().to_owned(), url: file.url }),
                digest: file.digest,
                size: file.size,
            }));
        }
    }
    Ok(None)
}

/// What the user set, in the order in which uv and pip take it: environment, then configuration files.
fn set(context: &Context) -> Vec<String> {
    let words = |name: &str| -> Vec<String> {
        let text = context.var(name).unwrap_or_default();
        // uv's may have a name in front.
        let word = |word: &str| match word.split_once('=') {
            Some((name, url)) if !name.contains(':') => url.to_owned(),
            _ => word.to_owned(),
        };
        text.split_whitespace().map(word).collect()
    };
    let variables =
        ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"];
    let mut found: Vec<String> = variables.into_iter().flat_map(words).collect();
    let config = context.var("XDG_CONFIG_HOME").map_or_else(|| context.home.join(".config"), PathBuf::from);
    let no_uv = context.var("UV_NO_CONFIG").is_some_and(|value| !value.is_empty());
    for dir in [config.join("uv"), PathBuf::from("/etc/uv")].iter().filter(|_| !no_uv) {
        found.extend(files::read_to_string(&dir.join("uv.toml")).map(|text| of_uv(&text)).unwrap_or_default());
    }
    let own = context.var("PIP_CONFIG_FILE").map(PathBuf::from);
    let environment = context.var("VIRTUAL_ENV").map(|dir| Path::new(dir).join("pip.conf"));
    let user = [config.join("pip/pip.conf"), context.home.join(".pip/pip.conf")];
    let system = [PathBuf::from("/etc/xdg/pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
    // pip's own way to say that no file is to be read.
    let no_pip = own.as_deref() == Some(Path::new("/dev/null"));
    for path in own.into_iter().chain(environment).chain(user).chain(system).filter(|_| !no_pip) {
        found.extend(files::read_to_string(&path).map(|text| of_pip(&text)).unwrap_or_default());
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|url| seen.insert(url.clone()));
    found
}

/// The index that pip asks when nobody set one: the help of its `install` names it.
fn built_in(context: &Context) -> Option<String> {
    for words in [&["pip"][..], &["pip3"], &["python3", "-m", "pip"]] {
        let (program, before) = words.split_first()?;
        let mut pip = std::process::Command::new(program);
        pip.args(before).args(["install", "--help"]).env_clear().envs(&context.env).stdin(std::process::Stdio::null());
        let Ok(said) = pip.output() else { continue };
        if let Some(url) = of_help(&String::from_utf8_lossy(&said.stdout)) {
            return Some(url);
        }
    }
    None
}

/// `--index-url <url>  Base URL of the Python Package Index (default URL).`, however the lines are broken.
fn of_help(text: &str) -> Option<String> {
    let (_, after) = text.split_once("--index-url")?;
    let words: Vec<&str> = after.split_whitespace().take(30).collect();
    let at = words.iter().position(|word| word.ends_with("(default"))?;
    let url = words.get(at + 1)?.split(')').next()?;
    url.starts_with("http").then(|| url.to_owned())
}

/// `index-url` and `extra-index-url` of a pip.conf (pip's "Configuration"): values may go on in indented lines.
fn of_pip(text: &str) -> Vec<String> {
    let mut found: [Vec<String>; 2] = Default::default();
    let mut current: Option<usize> = None;
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            current = ["index-url", "extra-index-url"].iter().position(|name| *name == key.trim().replace('_', "-"));
            value
        };
        if let Some(list) = current.and_then(|at| found.get_mut(at)) {
            list.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    found.concat()
}

/// The indexes of a uv.toml (uv's "Settings").
fn of_uv(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let mut found = Vec::new();
    let mut add = |value: Option<&toml::Value>| found.extend(value.and_then(toml::Value::as_str).map(str::to_owned));
    for index in table.get("index").and_then(toml::Value::as_array).into_iter().flatten() {
        add(index.get("url"));
    }
    for table in [Some(&table), table.get("pip").and_then(toml::Value::as_table)].into_iter().flatten() {
        add(table.get("index-url"));
        for url in table.get("extra-index-url").and_then(toml::Value::as_array).into_iter().flatten() {
            add(Some(url));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_settings_are_read_as_pip_and_uv_do() {
        let pip = "[global]\n# index-url = http://no\nindex_url: https://a/simple\nextra-index-url =\n    https://b/simple\n    https://c/simple\ntimeout = 60\n  9\n";
        assert_eq!(of_pip(pip), ["https://a/simple", "https://b/simple", "https://c/simple"]);
        let uv = "index-url = \"https://d/simple\"\n[[index]]\nname = \"x\"\nurl = \"https://e/simple\"\ndefault = true\n[pip]\nextra-index-url = [\"https://f/simple\"]\n";
        assert_eq!(of_uv(uv), ["https://e/simple", "https://d/simple", "https://f/simple"]);
        assert_eq!(of_uv("not toml ["), [""; 0]);
        let help = "  -i, --index-url <url>       Base URL of the Python Package Index (default\n      https://g/simple). This should\n";
        assert_eq!(of_help(help).as_deref(), Some("https://g/simple"));
        assert_eq!(of_help("--index-url <url> (no default) https://g"), None);
    }
}
