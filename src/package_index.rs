//! A Python package index as its user has it set: which files of a release it has, with their hashes (PEP 503, 691, 658).
//!
//! Only names of projects leave this machine, and only when the user asked for it. What comes back is bounded.

use std::{
    collections::BTreeSet,
    io::Read as _,
    sync::LazyLock,
    time::{Duration, Instant},
};

use base64::Engine as _;
use regex::Regex;
use serde::Deserialize;
use ureq::{
    Agent,
    http::{Uri, header},
};

use crate::{
    digest::Digest,
    inventory::{normalise, percent_decoded},
    registry::{self, RegistryError, Settings},
};

/// Bytes of a project's page; the largest that are known have some 20 MB.
const LONGEST_PAGE: u64 = 64 << 20;
const REDIRECTS: u32 = 5;
const ATTEMPTS: u32 = 4;
/// Before the second attempt; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(500);
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// An index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The address is no web address.
    #[error("`{url}` is not the address of a package index")]
    Address {
        /// As given, without credentials.
        url: String,
    },
    /// Proxy or certificates.
    #[error(transparent)]
    Settings(#[from] RegistryError),
    /// No answer.
    #[error("the package index at {host} does not answer")]
    Unreachable {
        /// `HOST[:PORT]`.
        host: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// An answer that is no page of a project.
    #[error("`{url}` answered {found}")]
    Unexpected {
        /// Without credentials.
        url: String,
        /// The status, or what is wrong.
        found: String,
    },
}

/// One index.
#[derive(Debug)]
pub struct Index {
    agent: Agent,
    /// Without credentials and without a slash at the end.
    url: String,
    /// Sent to the index's own host only.
    authorization: Option<String>,
}

/// A file of a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexFile {
    /// `name-version-python-abi-platform.whl`, or a source archive.
    pub file_name: String,
    /// Where it is to be had; no credentials.
    pub url: String,
    /// SHA-256; a file without one is not listed.
    pub digest: Digest,
    /// Bytes, where the index tells.
    pub size: Option<u64>,
    /// SHA-256 of its METADATA, where the index tells (PEP 658).
    pub metadata: Option<Digest>,
}

/// The wheel that was installed, as far as the installation tells.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Project name, in any spelling.
    pub name: &'a str,
    /// Version as in the `.dist-info` directory's name.
    pub version: &'a str,
    /// The `Tag` lines of WHEEL.
    pub tags: &'a BTreeSet<String>,
    /// SHA-256 of METADATA.
    pub metadata: Digest,
}

impl Index {
    /// Takes an address like `https://user:password@host/simple`. Nothing is sent.
    pub fn new(url: &str, settings: &Settings) -> Result<Self, IndexError> {
        let bad = || IndexError::Address { url: without_credentials(url) };
        let (scheme, rest) = url.trim_end_matches('/').split_once("://").ok_or_else(bad)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if !matches!(scheme, "http" | "https")
            || host.is_empty()
            || format!("{scheme}://{host}{path}").parse::<Uri>().is_err()
        {
            return Err(bad());
        }
        let authorization = credentials.map(|text| {
            let text = String::from_utf8_lossy(&percent_decoded(text)).into_owned();
            let text = if text.contains(':') { text } else { format!("{text}:") };
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
        });
        let agent = registry::agent(scheme, host, settings)?;
        Ok(Self { agent, url: format!("{scheme}://{host}{path}"), authorization })
    }

    /// Its address, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file that was installed: same project, version and tags, and the same METADATA where the index tells.
    pub fn find(&self, wanted: &Wanted<'_>) -> Result<Option<IndexFile>, IndexError> {
        let files = self.files(wanted.name)?;
        Ok(files.into_iter().find(|file| is_wanted(file, wanted)))
    }

    /// All files of a project that have a hash; none when the index does not know it.
    pub fn files(&self, project: &str) -> Result<Vec<IndexFile>, IndexError> {
        let mut url = format!("{}/{}/", self.url, normalise(project));
        for _ in 0..=REDIRECTS {
            let mut answer = self.get(&url)?;
            let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let unexpected = |found: String| IndexError::Unexpected { url: url.clone(), found };
            match answer.status().as_u16() {
                200 => {}
                404 => return Ok(Vec::new()),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header(header::LOCATION).ok_or_else(|| unexpected("a redirect to nowhere".to_owned()))?;
                    let next = join(&url, &to).ok_or_else(|| unexpected(format!("a redirect to `{to}`")))?;
                    if url.starts_with("https://") && !next.starts_with("https://") {
                        return Err(unexpected("a redirect to a plain connection".to_owned()));
                    }
                    url = next;
                    continue;
                }
                401 | 403 => return Err(unexpected("that it wants a name and a password".to_owned())),
                status => return Err(unexpected(status.to_string())),
            }
            let is_json = header(header::CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
            let mut page = Vec::new();
            let read = answer.body_mut().as_reader().take(LONGEST_PAGE + 1).read_to_end(&mut page);
            read.map_err(|error| unexpected(format!("and broke off: {error}")))?;
            if page.len() as u64 > LONGEST_PAGE {
                return Err(unexpected("a page that is too long".to_owned()));
            }
            let files =
                if is_json { of_json(&page, &url) } else { Some(of_html(&String::from_utf8_lossy(&page), &url)) };
            return files.ok_or_else(|| unexpected("a page that is none of the simple repository API".to_owned()));
        }
        Err(IndexError::Unexpected { url, found: "too many redirects".to_owned() })
    }

    /// Tries again when the connection is lost or the index is busy.
    fn get(&self, url: &str) -> Result<ureq::http::Response<ureq::Body>, IndexError> {
        let own = authority(url).is_some() && authority(url) == authority(&self.url);
        let mut attempt = 1;
        loop {
            let mut request = self.agent.get(url).header(header::ACCEPT, ACCEPT);
            if let Some(value) = self.authorization.as_ref().filter(|_| own) {
                request = request.header(header::AUTHORIZATION, value);
            }
            let last = attempt >= ATTEMPTS;
            match request.call() {
                Ok(answer) if last || !matches!(answer.status().as_u16(), 408 | 429 | 500 | 502 | 503 | 504) => {
                    return Ok(answer);
                }
                Err(error) if last || !matches!(error, ureq::Error::Io(_) | ureq::Error::Timeout(_)) => {
                    let host = authority(url).unwrap_or_default().to_owned();
                    return Err(IndexError::Unreachable { host, source: Box::new(error) });
                }
                _ => wait(PAUSE * 2_u32.pow(attempt - 1)),
            }
            attempt += 1;
        }
    }
}

fn wait(pause: Duration) {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

fn is_wanted(file: &IndexFile, wanted: &Wanted<'_>) -> bool {
    let folded = |text: &str| text.to_lowercase().replace('_', "-");
    let Some(stem) = file.file_name.strip_suffix(".whl") else { return false };
    // NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM; a name has no `-` in it.
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, version, tags) = match parts.as_slice() {
        [name, version, tags @ ..] | [name, version, _, tags @ ..] if tags.len() == 3 => (name, version, tags),
        _ => return false,
    };
    let [pythons, abis, platforms] = tags else { return false };
    let mut expanded = BTreeSet::new();
    for python in pythons.split('.') {
        for abi in abis.split('.') {
            expanded.extend(platforms.split('.').map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    normalise(name) == normalise(wanted.name)
        && folded(version) == folded(wanted.version)
        && expanded == *wanted.tags
        && file.metadata.is_none_or(|digest| digest == wanted.metadata)
}

#[derive(Deserialize)]
struct JsonPage {
    files: Vec<JsonFile>,
}

#[derive(Deserialize)]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: serde_json::Map<String, serde_json::Value>,
    size: Option<u64>,
    #[serde(rename = "core-metadata", default)]
    core_metadata: serde_json::Value,
}

fn of_json(page: &[u8], base: &str) -> Option<Vec<IndexFile>> {
    let page: JsonPage = serde_json::from_slice(page).ok()?;
    let of = |file: JsonFile| {
        Some(IndexFile {
            url: without_credentials(&join(base, without_fragment(&file.url))?),
            digest: sha256(file.hashes.get("sha256")?.as_str()?)?,
            size: file.size,
            // It may also be `true`: there is one, and its hash is not told.
            metadata: file.core_metadata.get("sha256").and_then(|hash| sha256(hash.as_str()?)),
            file_name: file.filename,
        })
    };
    Some(page.files.into_iter().filter_map(of).collect())
}

static ANCHOR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?is)<a\s([^>]*)>([^<]*)</a").ok());
static ATTRIBUTE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?is)([a-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')"#).ok());

/// The page as PEP 503 has it: a list of anchors, the hash in the address's fragment.
fn of_html(page: &str, base: &str) -> Vec<IndexFile> {
    let (Some(anchors), Some(attributes)) = (ANCHOR.as_ref(), ATTRIBUTE.as_ref()) else { return Vec::new() };
    let of = |anchor: regex::Captures<'_>| {
        let (mut url, mut metadata) = (None, None);
        for attribute in attributes.captures_iter(anchor.get(1)?.as_str()) {
            let value = attribute.get(2).or_else(|| attribute.get(3)).map_or("", |value| value.as_str());
            match attribute.get(1)?.as_str().to_ascii_lowercase().as_str() {
                "href" => url = Some(unescaped(value)),
                "data-core-metadata" | "data-dist-info-metadata" => {
                    metadata = value.strip_prefix("sha256=").and_then(sha256);
                }
                _ => {}
            }
        }
        let url = url?;
        let digest = sha256(url.split_once('#')?.1.split('&').find_map(|part| part.strip_prefix("sha256="))?)?;
        Some(IndexFile {
            file_name: unescaped(anchor.get(2)?.as_str().trim()),
            url: without_credentials(&join(base, without_fragment(&url))?),
            digest,
            size: None,
            metadata,
        })
    };
    anchors.captures_iter(page).filter_map(of).collect()
}

fn sha256(hex: &str) -> Option<Digest> {
    format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

fn authority(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split(['/', '?', '#']).next()
}

/// An address that may be shown and written down.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Resolves a reference against the address of its page (RFC 3986 §5.2, as far as web pages use it).
fn join(base: &str, reference: &str) -> Option<String> {
    if reference.contains("://") {
        let known = reference.starts_with("https://") || reference.starts_with("http://");
        return known.then(|| reference.to_owned());
    }
    let (scheme, rest) = base.split_once("://")?;
    if let Some(rest) = reference.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut parts: Vec<&str> = match reference.strip_prefix('/') {
        Some(_) => Vec::new(),
        // What follows the last slash is the page itself.
        None => {
            path.split('/').skip(1).collect::<Vec<_>>().split_last().map(|(_, dirs)| dirs.to_vec()).unwrap_or_default()
        }
    };
    for part in reference.trim_start_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("{scheme}://{host}/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn file(name: &str) -> IndexFile {
        IndexFile {
            file_name: name.to_owned(),
            url: String::new(),
            digest: Digest::of(b""),
            size: None,
            metadata: None,
        }
    }

    #[test]
    fn addresses_are_resolved_as_a_browser_does() {
        let base = "https://host:8/simple/six/";
        for (reference, wanted) in [
            ("../../packages/a.whl", "https://host:8/packages/a.whl"),
            ("a.whl", "https://host:8/simple/six/a.whl"),
            ("/p/./a.whl", "https://host:8/p/a.whl"),
            ("//other/a.whl", "https://other/a.whl"),
            ("http://other/a.whl", "http://other/a.whl"),
            ("../../../../../a.whl", "https://host:8/a.whl"),
        ] {
            assert_eq!(join(base, reference).as_deref(), Some(wanted), "{reference}");
        }
        assert_eq!(join(base, "file:///etc/passwd"), None);
        assert_eq!(without_credentials("https://u:p@h/s?x=a@b"), "https://h/s?x=a@b");
        assert_eq!(percent_decoded("a%40b%zz%"), b"a@b%zz%");
    }

    #[test]
    fn both_forms_of_a_page_say_the_same() {
        let html = format!(
            "<html><a data-requires-python='&gt;=3' href=\"../../p/six-1-py3-none-any.whl#sha256={HASH}\" \
             data-core-metadata=\"sha256={HASH}\">six-1-py3-none-any.whl</a><a href='x.whl'>x.whl</a></html>"
        );
        let json = format!(
            r#"{{"meta": {{"api-version": "1.1"}}, "name": "six", "files": [
              {{"filename": "six-1-py3-none-any.whl", "url": "https://u:p@h/p/six-1-py3-none-any.whl",
                "hashes": {{"sha256": "{HASH}"}}, "core-metadata": {{"sha256": "{HASH}"}}, "yanked": false}},
              {{"filename": "x.whl", "url": "x.whl", "hashes": {{}}, "core-metadata": true}}]}}"#
        );
        let of_html = of_html(&html, "https://h/simple/six/");
        assert_eq!(of_html, of_json(json.as_bytes(), "https://h/simple/six/").unwrap());
        assert_eq!(of_html.len(), 1);
        assert_eq!(of_html[0].url, "https://h/p/six-1-py3-none-any.whl");
        assert_eq!(of_json(b"[]", "https://h/"), None);
    }

    #[test]
    fn a_wheel_is_the_installed_one_when_name_version_tags_and_metadata_are() {
        let tags = BTreeSet::from(["py2-none-any".to_owned(), "py3-none-any".to_owned()]);
        let wanted = Wanted { name: "Ruamel.yaml", version: "1.0+cpu_x", tags: &tags, metadata: Digest::of(b"m") };
        assert!(is_wanted(
            &file("ruamel_yaml-1.0+cpu.x-py2.py3-none-any.whl"),
            &Wanted { version: "1.0+cpu.x", ..wanted.clone() }
        ));
        assert!(is_wanted(&file("ruamel_yaml-1.0+cpu_x-1-py2.py3-none-any.whl"), &wanted));
        for other in [
            "ruamel_yaml-1.0-py2.py3-none-any.whl",
            "ruamel_yaml-1.0+cpu_x-py3-none-any.whl",
            "other-1.0+cpu_x-py2.py3-none-any.whl",
            "ruamel_yaml-1.0+cpu_x.tar.gz",
            "ruamel_yaml.whl",
        ] {
            assert!(!is_wanted(&file(other), &wanted), "{other}");
        }
        let told = |digest| IndexFile { metadata: Some(digest), ..file("ruamel_yaml-1.0+cpu_x-py2.py3-none-any.whl") };
        assert!(is_wanted(&told(Digest::of(b"m")), &wanted) && !is_wanted(&told(Digest::of(b"n")), &wanted));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_of_a_page_make_a_panic(page: Vec<u8>, base in "https://[a-z]{0,3}(/[a-z]{0,3}){0,3}", text in ".{0,40}") {
            of_json(&page, &base);
            of_html(&String::from_utf8_lossy(&page), &base);
            of_html(&format!("<a href=\"{text}#sha256={HASH}\">{text}</a>"), &base);
            join(&base, &text);
            percent_decoded(&text);
            without_credentials(&text);
        }
    }
}
