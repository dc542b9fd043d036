//! Whom to believe: a file of public keys that the person who verifies keeps.

use base64::Engine as _;

use super::{PublicKey, cosign, sshsig, wire};

/// Keys that are believed, each with a name.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    known: Vec<(PublicKey, String)>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A line that is none of ours to read.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// No key.
    #[error("there is no public key in it")]
    Empty,
}

impl Trust {
    /// Reads a public key of cosign's (`cosign.pub`), one of SSH (`id_ed25519.pub`), or a file of `allowed_signers`
    /// (`ssh-keygen(1)`, "ALLOWED SIGNERS"; of its options `namespaces` is understood, a line with another is an error).
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        if let Some(point) = cosign::parse_public(text) {
            return Ok(Self { known: vec![(PublicKey::P256(point), String::new())] });
        }
        let mut known = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: String| TrustError::Line { line: number + 1, what };
            known.extend(parse_line(line).map_err(wrong)?);
        }
        if known.is_empty() { Err(TrustError::Empty) } else { Ok(Self { known }) }
    }

    /// The name that this key is known by (may be empty); `None`: it is not believed.
    pub fn knows(&self, key: &PublicKey) -> Option<&str> {
        self.known.iter().find(|(known, _)| known == key).map(|(_, name)| name.as_str())
    }
}

/// The key of one line and its name; `None` when it is for another namespace.
fn parse_line(line: &str) -> Result<Option<(PublicKey, String)>, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    // `TYPE BASE64 [COMMENT]` as in a file of one public key.
    if let [kind, key, comment @ ..] = words.as_slice()
        && let Some(key) = parse_key(kind, key)
    {
        return Ok(Some((key, comment.join(" "))));
    }
    let (options, kind, key) = match words.as_slice() {
        [_, kind, key, ..] if parse_key(kind, key).is_some() => (None, kind, key),
        [_, options, kind, key, ..] => (Some(*options), kind, key),
        _ => return Err("neither a public key nor a line of allowed signers".to_owned()),
    };
    let key = parse_key(kind, key).ok_or("its key cannot be read")?;
    let mut ours = true;
    for option in options.map(split_options).into_iter().flatten() {
        match option.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("namespaces") => {
                ours = value.trim_matches('"').split(',').any(|name| name == sshsig::NAMESPACE || name == "*");
            }
            _ => return Err(format!("the option `{option}` is not understood")),
        }
    }
    Ok(ours.then(|| (key, words.first().copied().unwrap_or_default().trim_matches('"').to_owned())))
}

/// At commas that are not quoted.
fn split_options(text: &str) -> Vec<String> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::to_owned)
    .collect()
}

fn parse_key(kind: &str, text: &str) -> Option<PublicKey> {
    let raw = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    (wire::key_type(&raw) == Some(kind)).then_some(PublicKey::Ssh(raw))
}
