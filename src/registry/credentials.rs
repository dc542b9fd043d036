//! Who we are to a registry: the files of Docker (`config.json`) and of podman, skopeo and buildah (`auth.json`), and
//! the credential helpers that they name.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::Engine as _;
use serde::Deserialize;

use super::reference::Reference;
use crate::files::{self, FileError};

/// Where to look, in order.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Credential files; one that does not exist is passed over.
    pub files: Vec<PathBuf>,
}

/// What a registry is told. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Name and password (or an access token in its place).
    Password {
        /// Who.
        user: String,
        /// The secret.
        password: String,
    },
    /// An OAuth2 refresh token.
    IdentityToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password {{ user: {user:?}, .. }}"),
            Self::IdentityToken(_) => write!(f, "IdentityToken(..)"),
        }
    }
}

/// Credentials that cannot be used. No message holds one.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content.
    #[error("`{}` is no credential file: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A helper that is not there, or failed.
    #[error("the credential helper `{helper}` {what}")]
    Helper {
        /// `docker-credential-…`.
        helper: String,
        /// What happened.
        what: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// Docker Hub is called by its old address in these files.
const HUB: &str = "https://index.docker.io/v1/";

impl Places {
    /// The first credential for the image's registry; `None` when nobody logged in.
    pub fn find(&self, reference: &Reference) -> Result<Option<Credential>, CredentialError> {
        for path in &self.files {
            let bytes = match files::read_bounded(path, 4 << 20) {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            // The cause would quote the file.
            let wrong = |why| CredentialError::Content { path: path.clone(), why };
            let file: File =
                serde_json::from_slice(&bytes).map_err(|_| wrong("it is not JSON of the form that Docker writes"))?;
            if let Some(found) = find_in(&file, reference).map_err(|error| match error {
                Found::Malformed => wrong("an `auth` in it is not base64 of NAME:PASSWORD"),
                Found::Helper(error) => error,
            })? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

enum Found {
    Malformed,
    Helper(CredentialError),
}

fn find_in(file: &File, reference: &Reference) -> Result<Option<Credential>, Found> {
    let hub = reference.host == "docker.io";
    let helper = file.cred_helpers.get(&reference.host).or(file.creds_store.as_ref());
    if let Some(helper) = helper.filter(|name| !name.is_empty()) {
        let server = if hub { HUB } else { &reference.host };
        if let Some(found) = ask_helper(helper, server).map_err(Found::Helper)? {
            return Ok(Some(found));
        }
    }
    let entry = names(reference).into_iter().find_map(|name| file.auths.get(&name).filter(|entry| entry.is_some()));
    entry.map_or(Ok(None), |entry| entry.credential().map(Some).ok_or(Found::Malformed))
}

/// The keys that may mean a repository, the narrowest first.
fn names(reference: &Reference) -> Vec<String> {
    let host = &reference.host;
    let mut names = Vec::new();
    let mut path = reference.repository.as_str();
    loop {
        names.push(format!("{host}/{path}"));
        let Some((shorter, _)) = path.rsplit_once('/') else { break };
        path = shorter;
    }
    names.push(host.clone());
    if host == "docker.io" {
        names.extend([HUB, "index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    for scheme in ["https", "http"] {
        for end in ["", "/", "/v1/", "/v2/", "/v1", "/v2"] {
            names.push(format!("{scheme}://{host}{end}"));
        }
    }
    names
}

impl Entry {
    fn is_some(&self) -> bool {
        self.auth.as_ref().is_some_and(|auth| !auth.is_empty())
            || self.username.is_some()
            || self.identitytoken.as_ref().is_some_and(|token| !token.is_empty())
    }

    fn credential(&self) -> Option<Credential> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.is_empty()) {
            return Some(Credential::IdentityToken(token.clone()));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(Credential::Password { user: user.clone(), password: password.clone() });
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(self.auth.as_ref()?.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        // Docker pads with NUL.
        let password = password.trim_end_matches('\0');
        Some(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }
}

/// Runs `docker-credential-NAME get` (docker-credential-helpers, "Development").
fn ask_helper(name: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let helper = format!("docker-credential-{name}");
    let failed = |what: String| CredentialError::Helper { helper: helper.clone(), what };
    if name.contains('/') || Path::new(name).components().count() != 1 {
        return Err(failed("has a slash in its name".to_owned()));
    }
    let cannot = |error: io::Error| failed(format!("cannot be run: {error}"));
    let mut child =
        Command::new(&helper).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says so by its status.
        writeln!(stdin, "{server}").unwrap_or_default();
    }
    let output = child.wait_with_output().map_err(cannot)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let said: String = said.trim().chars().take(200).collect();
        let said = files::display_bytes(said.as_bytes()).to_string();
        return Err(failed(format!("ended with {} ({said})", output.status)));
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("gave no answer in JSON".to_owned()))?;
    if answer.username == "<token>" {
        return Ok(Some(Credential::IdentityToken(answer.secret)));
    }
    Ok(Some(Credential::Password { user: answer.username, password: answer.secret }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, name: &str) -> Option<Credential> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        Places { files: vec![dir.path().join("none"), path] }.find(&name.parse().unwrap()).unwrap()
    }

    fn password(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn the_narrowest_entry_counts_and_docker_hub_has_its_old_name() {
        // ann:a, bob:b:c
        let text = r#"{"auths": {"h.example": {"auth": "YW5uOmE="}, "h.example/team": {"auth": "Ym9iOmI6Yw=="},
            "https://index.docker.io/v1/": {"auth": "YW5uOmE="}, "https://old.example/v2/": {"auth": "YW5uOmE="},
            "id.example": {"auth": "", "identitytoken": "t"}, "empty.example": {}}}"#;
        assert_eq!(find(text, "h.example/nb"), password("ann", "a"));
        assert_eq!(find(text, "h.example/team/nb"), password("bob", "b:c"));
        assert_eq!(find(text, "h.example/teams/nb"), password("ann", "a"));
        assert_eq!(find(text, "ann/nb"), password("ann", "a"));
        assert_eq!(find(text, "old.example/nb"), password("ann", "a"));
        assert_eq!(find(text, "id.example/nb"), Some(Credential::IdentityToken("t".to_owned())));
        assert_eq!(find(text, "empty.example/nb"), None);
        assert_eq!(find(text, "h.example:5000/nb"), None);
    }

    #[test]
    fn neither_an_error_nor_debug_shows_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        for text in [r#"{"auths": {"h.example": {"auth": "c2VjcmV0"}}}"#, r#"{"auths": "c2VjcmV0"}"#, "c2VjcmV0"] {
            std::fs::write(&path, text).unwrap();
            let places = Places { files: vec![path.clone()] };
            let error = places.find(&"h.example/nb".parse().unwrap()).unwrap_err();
            let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error).map(ToString::to_string));
            assert!(!shown.contains("c2Vj") && !shown.contains("secret"), "{shown}");
        }
        assert!(!format!("{:?}", password("ann", "hush").unwrap()).contains("hush"));
        assert!(!format!("{:?}", Credential::IdentityToken("hush".to_owned())).contains("hush"));
    }
}
