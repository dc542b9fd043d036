//! Names of images, as Docker writes them: `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`.

use std::{fmt, str::FromStr};

use crate::{digest::Digest, files::display_bytes};

/// Which image of a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Version {
    /// A name that can move.
    Tag(String),
    /// The manifest's digest.
    Digest(Digest),
}

/// The name of an image in a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// `HOST` or `HOST:PORT`.
    pub host: String,
    /// Path components with slashes between them.
    pub repository: String,
    /// Tag or digest; `latest` where none was given.
    pub version: Version,
}

/// The text is no name of an image.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is no name of an image (HOST/REPOSITORY:TAG): {why}", display_bytes(text.as_bytes()))]
pub struct ReferenceError {
    text: String,
    why: &'static str,
}

/// Where names without a host live.
const DOCKER_HUB: &str = "docker.io";

impl Reference {
    /// Whether a word can only be meant as an image's name: it begins with `oci://` or `docker://`, or its first
    /// component is a host as Docker knows one (it has a dot or a port, or is `localhost`) and more follows.
    pub fn is_meant_by(word: &str) -> bool {
        if strip_scheme(word).is_some() {
            return true;
        }
        let Some((first, rest)) = word.split_once('/') else { return false };
        is_host(first) && !rest.is_empty() && word.parse::<Self>().is_ok()
    }

    /// Where requests go: Docker Hub's name is not the host of its API.
    pub fn api_host(&self) -> &str {
        if self.host == DOCKER_HUB { "registry-1.docker.io" } else { &self.host }
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The last part of `/v2/<repository>/manifests/<this>`.
    pub fn version_text(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => digest.to_string(),
        }
    }
}

/// `oci://` is ours, `docker://` skopeo's.
fn strip_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("oci://").or_else(|| text.strip_prefix("docker://"))
}

/// Docker's rule for "is the first component a host?".
fn is_host(first: &str) -> bool {
    (first == "localhost" || first.contains(['.', ':'])) && !first.starts_with('.') && !first.is_empty()
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| ReferenceError { text: text.chars().take(300).collect(), why };
        let rest = strip_scheme(text).unwrap_or(text);
        let (host, rest) = match rest.split_once('/') {
            Some((first, rest)) if is_host(first) => (first.to_owned(), rest.to_owned()),
            _ if !rest.contains('/') => (DOCKER_HUB.to_owned(), format!("library/{rest}")),
            _ => (DOCKER_HUB.to_owned(), rest.to_owned()),
        };
        let host_end = host.strip_prefix('[').map_or(0, |_| host.find(']').unwrap_or(0));
        let (name, port) = match host.get(host_end..).and_then(|end| end.find(':')) {
            Some(at) => (host.get(..host_end + at).unwrap_or_default(), host.get(host_end + at + 1..)),
            None => (host.as_str(), None),
        };
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':' | '_');
        if name.is_empty() || !name.chars().all(in_name) {
            return Err(wrong("the host is not well formed"));
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(wrong("the port is no number"));
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| wrong("the digest is not sha256:<64 hex digits>"))?;
                (rest.to_owned(), Some(digest))
            }
            None => (rest, None),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), Some(tag.to_owned())),
            _ => (rest, None),
        };
        if repository.len() > 255 || !repository.split('/').all(is_component) {
            return Err(wrong("a repository is made of lower-case letters, digits and single `.`, `_`, `-` and `/`"));
        }
        let in_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if let Some(tag) = &tag
            && (tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.chars().all(in_tag))
        {
            return Err(wrong("a tag is made of up to 128 letters, digits, `_`, `.` and `-`"));
        }
        let version = match (digest, tag) {
            (Some(digest), _) => Version::Digest(digest),
            (None, tag) => Version::Tag(tag.unwrap_or_else(|| "latest".to_owned())),
        };
        Ok(Self { host, repository, version })
    }
}

/// distribution-spec: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(inside)
        && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|pair| text.contains(pair))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if matches!(self.version, Version::Tag(_)) { ':' } else { '@' };
        write!(f, "{}/{}{mark}{}", self.host, self.repository, self.version_text())
    }
}

/// Whether `HOST[:PORT]` is this machine.
pub fn is_loopback(host: &str) -> bool {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let hex = "a".repeat(64);
        for (text, host, repository, version) in [
            ("ghcr.io/ann/nb:v1", "ghcr.io", "ann/nb", "v1"),
            ("oci://localhost:5000/nb", "localhost:5000", "nb", "latest"),
            ("docker://[::1]:5000/a/b_c/d--e:x", "[::1]:5000", "a/b_c/d--e", "x"),
            ("ann/nb", "docker.io", "ann/nb", "latest"),
            ("nb:v2", "docker.io", "library/nb", "v2"),
            (&format!("h.example/nb:v1@sha256:{hex}"), "h.example", "nb", &format!("sha256:{hex}")),
        ] {
            let found: Reference = text.parse().unwrap();
            assert_eq!((found.host.as_str(), found.repository.as_str()), (host, repository), "{text}");
            assert_eq!(found.version_text(), version, "{text}");
        }
        for bad in [
            "",
            "h.example/",
            "h.example/Nb",
            "h.example/nb:",
            "h.example/a//b",
            "h.example/../x",
            "h.example/nb:a b",
            "h.example/nb@sha256:12",
            "h.example:port/nb",
            "h.exa mple/nb",
            "h.example/a..b",
            "h.example/nb:-x",
            "h.example/a\n",
            "h.example/nb?x=y",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_is_not_taken_for_a_registry() {
        for word in ["a.nbpack", "dir/a.nbpack", "./h.example/x", "../x.y/z", "/a.b/c", "analysis", "sub.dir/A.nbpack"]
        {
            assert!(!Reference::is_meant_by(word), "{word}");
        }
        for word in ["localhost/nb", "127.0.0.1:5000/nb:v1", "ghcr.io/ann/nb", "oci://anything", "docker://x"] {
            assert!(Reference::is_meant_by(word), "{word}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for (text, loopback) in [
            ("localhost:5000/a", true),
            ("127.1.2.3/a", true),
            ("[::1]:5000/a", true),
            ("h.example/a", false),
            ("127.0.0.1.example/a", false),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
