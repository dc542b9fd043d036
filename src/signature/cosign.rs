//! Key pairs and signatures in cosign's layout: ECDSA P-256 over a "simple signing" payload (containers/image,
//! `signature/simplesigning`); the private key is PKCS #8 in a box that scrypt's key closes (go-securesystemslib,
//! `encrypted`).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305, aead::Aead as _};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use serde::{Deserialize, Serialize};

use super::{PublicKey, Signature, SignatureError};
use crate::digest::Digest;

/// `SubjectPublicKeyInfo` of a P-256 key up to its point (RFC 5480).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const PUBLIC: &str = "PUBLIC KEY";
const PLAIN: &str = "PRIVATE KEY";
/// What is written, then what older versions of cosign wrote.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
const TYPE: &str = "cosign container image signature";
/// Work factor of a new key, as cosign takes it.
const SCRYPT_LOG_N: u8 = 16;
/// The most that a key file may ask for: 2^20 blocks of 1 KiB are 1 GiB.
const SCRYPT_MOST: u64 = 1 << 20;

/// A private key, which never shows itself.
pub struct PrivateKey(EcdsaKeyPair);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A private key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no key of this kind.
    #[error("this is no private key in cosign's layout: {what}")]
    Malformed {
        /// Why.
        what: String,
    },
    /// It needs a password, or another.
    #[error("the password does not open this key")]
    Password,
    /// Linux gave no random bytes, or the like.
    #[error("cannot make a key")]
    Make,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Whether a key file is one of ours to read (and not one of SSH).
pub fn is_key(text: &str) -> bool {
    ENCRYPTED.iter().chain([&PLAIN]).any(|label| text.contains(&format!("-----BEGIN {label}-----")))
}

/// Whether opening it takes a password.
pub fn is_encrypted(text: &str) -> bool {
    ENCRYPTED.iter().any(|label| text.contains(&format!("-----BEGIN {label}-----")))
}

impl PrivateKey {
    /// Reads `cosign.key`, or a plain PKCS #8 key of the curve P-256.
    pub fn parse(text: &str, password: &[u8]) -> Result<Self, KeyError> {
        let wrong = |what: &str| KeyError::Malformed { what: what.to_owned() };
        let der = match ENCRYPTED.iter().find_map(|label| pem(text, label)) {
            Some(sealed) => {
                let sealed: Sealed = serde_json::from_slice(&sealed).map_err(|error| wrong(&error.to_string()))?;
                open(&sealed, password)?
            }
            None => pem(text, PLAIN).ok_or_else(|| wrong("no such block in it"))?,
        };
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new())
            .map(Self)
            .map_err(|rejected| wrong(&rejected.to_string()))
    }

    /// Makes a new pair: the private key's file, closed with `password`, and the public key's.
    pub fn generate(password: &[u8]) -> Result<(String, String), KeyError> {
        let random = SystemRandom::new();
        let made = |_| KeyError::Make;
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(made)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref(), &random)
            .map_err(|_| KeyError::Make)?;
        let (mut salt, mut nonce) = ([0; 32], [0; 24]);
        random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(made)?;
        let params = Params { n: 1 << SCRYPT_LOG_N, r: 8, p: 1 };
        let key = derive(password, &salt, &params)?;
        let ciphertext =
            XSalsa20Poly1305::new(&key.into()).encrypt(&nonce.into(), der.as_ref()).map_err(|_| KeyError::Make)?;
        let sealed = Sealed {
            kdf: Kdf { name: "scrypt".to_owned(), params, salt: STANDARD.encode(salt) },
            cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
            ciphertext: STANDARD.encode(ciphertext),
        };
        let sealed = serde_json::to_vec(&sealed).map_err(|_| KeyError::Make)?;
        Ok((to_pem(ENCRYPTED[0], &sealed), to_pem(PUBLIC, &spki(pair.public_key().as_ref()))))
    }

    /// Signs a manifest under the name that it is to be known by (`registry.example/repository`; may be empty).
    pub fn sign(&self, manifest: &Digest, identity: &str) -> Result<Signature, KeyError> {
        let payload = payload(manifest, identity);
        let signature = self.0.sign(&SystemRandom::new(), payload.as_bytes()).map_err(|_| KeyError::Make)?;
        Ok(Signature::Cosign {
            payload,
            signature: STANDARD.encode(signature),
            public_key: to_pem(PUBLIC, &spki(self.0.public_key().as_ref())),
        })
    }
}

/// What is signed, byte for byte as cosign writes it.
fn payload(manifest: &Digest, identity: &str) -> String {
    let identity = serde_json::Value::from(identity);
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":{identity}}},"image":{{"docker-manifest-digest":"{manifest}"}},"type":"{TYPE}"}},"optional":null}}"#
    )
}

/// Proves that the key in `public_key` signed `payload`, and that the payload names this manifest.
pub fn check(payload: &str, signature: &str, public_key: &str, manifest: &Digest) -> Result<PublicKey, SignatureError> {
    let malformed = |what: &str| SignatureError::Malformed { what: what.to_owned() };
    let point = parse_public(public_key).ok_or_else(|| malformed("its public key is none of the curve P-256"))?;
    if to_pem(PUBLIC, &spki(&point)) != public_key {
        return Err(malformed("its public key is not written as it should be"));
    }
    let raw = STANDARD.decode(signature).map_err(|error| malformed(&error.to_string()))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point)
        .verify(payload.as_bytes(), &raw)
        .map_err(|_| SignatureError::Wrong)?;
    let document: serde_json::Value =
        serde_json::from_str(payload).map_err(|error| malformed(&format!("its payload is no JSON ({error})")))?;
    let critical = document.get("critical");
    let text = |pointer: &str| critical.and_then(|part| part.pointer(pointer)).and_then(serde_json::Value::as_str);
    if text("/type") != Some(TYPE) {
        return Err(malformed("its payload is not that of an image"));
    }
    let found = text("/image/docker-manifest-digest").unwrap_or_default();
    if found != manifest.to_string() {
        return Err(SignatureError::Elsewhere {
            found: found.chars().take(80).collect(),
            expected: manifest.to_string(),
        });
    }
    Ok(PublicKey::P256(point))
}

/// The point in a public key's file; `None` when it is another kind of key.
pub(super) fn parse_public(text: &str) -> Option<Vec<u8>> {
    let der = pem(text, PUBLIC)?;
    let point = der.strip_prefix(&SPKI_PREFIX)?;
    (point.len() == 65 && point.first() == Some(&4)).then(|| point.to_vec())
}

/// The `SubjectPublicKeyInfo` of a point.
pub(super) fn spki(point: &[u8]) -> Vec<u8> {
    [&SPKI_PREFIX, point].concat()
}

fn open(sealed: &Sealed, password: &[u8]) -> Result<Vec<u8>, KeyError> {
    let wrong = |what: &str| KeyError::Malformed { what: what.to_owned() };
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err(wrong("it is closed in another way than by scrypt and nacl/secretbox"));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|error| wrong(&error.to_string()));
    let key = derive(password, &decode(&sealed.kdf.salt)?, &sealed.kdf.params)?;
    let nonce: [u8; 24] =
        decode(&sealed.cipher.nonce)?.try_into().map_err(|_| wrong("its nonce has another length"))?;
    let ciphertext = decode(&sealed.ciphertext)?;
    XSalsa20Poly1305::new(&key.into()).decrypt(&nonce.into(), ciphertext.as_slice()).map_err(|_| KeyError::Password)
}

fn derive(password: &[u8], salt: &[u8], params: &Params) -> Result<[u8; 32], KeyError> {
    let wrong = |what: String| KeyError::Malformed { what };
    let cost = params.n.saturating_mul(u64::from(params.r)).saturating_mul(u64::from(params.p));
    if !params.n.is_power_of_two() || cost > SCRYPT_MOST * 8 {
        return Err(wrong(format!("scrypt with N={} r={} p={} is too much", params.n, params.r, params.p)));
    }
    let log_n = u8::try_from(params.n.trailing_zeros()).unwrap_or(u8::MAX);
    let parameters = scrypt::Params::new(log_n, params.r, params.p).map_err(|error| wrong(error.to_string()))?;
    let mut key = [0; 32];
    scrypt::scrypt(password, salt, &parameters, &mut key).map_err(|error| wrong(error.to_string()))?;
    Ok(key)
}

/// The bytes in a PEM block (RFC 7468).
fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every place is a boundary.
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
