//! Signatures over a manifest's digest, and whom to believe.
//!
//! Two kinds, both of which other programs check too: an SSH key's, as git makes them (`ssh-keygen -Y verify`), and those
//! of a key pair in cosign's layout (registries' policies). A signature holds the key it was made with, so every changed
//! byte of it is found; whether that key is to be believed is for [`Trust`] to say, which comes from the person who
//! verifies and never from a bundle.

pub mod cosign;
pub mod sshsig;
pub mod trust;

mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use trust::Trust;

use crate::digest::Digest;

/// One signature as it travels with a bundle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Signature {
    /// OpenSSH's `PROTOCOL.sshsig`, over [`message`] in the namespace [`sshsig::NAMESPACE`].
    Ssh {
        /// `-----BEGIN SSH SIGNATURE-----` and so on.
        armored: String,
    },
    /// ECDSA P-256 over a simple-signing payload that names the manifest.
    Cosign {
        /// The payload's bytes: JSON, as they were signed.
        payload: String,
        /// Base64 of the ASN.1 signature.
        signature: String,
        /// The public key, `-----BEGIN PUBLIC KEY-----`.
        #[serde(rename = "publicKey")]
        public_key: String,
    },
}

/// A public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PublicKey {
    /// OpenSSH's wire form (RFC 4253, section 6.6).
    Ssh(Vec<u8>),
    /// An uncompressed point of the curve P-256, 65 bytes.
    P256(Vec<u8>),
}

/// A signature does not hold, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is not of the form it should have.
    #[error("the signature is malformed: {what}")]
    Malformed {
        /// Where.
        what: String,
    },
    /// It uses something that this program does not know.
    #[error("the signature uses {what}, which this nbpack cannot check")]
    Unknown {
        /// What.
        what: String,
    },
    /// It is for something else.
    #[error("the signature is for {found}, not for {expected}")]
    Elsewhere {
        /// What it is for.
        found: String,
        /// What is at hand.
        expected: String,
    },
    /// The mathematics say no.
    #[error("the signature does not fit: it or what it signs was changed")]
    Wrong,
}

impl Signature {
    /// Proves that the key in this signature signed this manifest. That the key is anybody's is not said by that.
    pub fn check(&self, manifest: &Digest) -> Result<PublicKey, SignatureError> {
        match self {
            Self::Ssh { armored } => sshsig::check(armored, sshsig::NAMESPACE, message(manifest).as_bytes()),
            Self::Cosign { payload, signature, public_key } => cosign::check(payload, signature, public_key, manifest),
        }
    }
}

/// What an SSH key signs: the manifest's digest and a newline, so that `echo sha256:… | ssh-keygen -Y verify` can check.
pub fn message(manifest: &Digest) -> String {
    format!("{manifest}\n")
}

impl fmt::Display for PublicKey {
    /// As `ssh-keygen -l` names keys, or by the digest of its `SubjectPublicKeyInfo`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(wire) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(Digest::of(wire).as_bytes());
                write!(f, "{} key SHA256:{text}", wire::key_type(wire).unwrap_or("ssh"))
            }
            Self::P256(point) => write!(f, "cosign key {}", Digest::of(&cosign::spki(point))),
        }
    }
}

#[cfg(test)]
mod tests;
