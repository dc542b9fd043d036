//! Checks signatures of SSH keys (OpenSSH's `PROTOCOL.sshsig`, `PROTOCOL.u2f`). Making them is `ssh-keygen`'s work, which
//! knows agents, hardware keys and passphrases; checking must work on a machine that has no OpenSSH.

use base64::Engine as _;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};

use super::{
    PublicKey, SignatureError,
    wire::{Reader, put_string},
};

/// What our signatures are for: one made for a mail or a commit does not pass for one of a bundle.
pub const NAMESPACE: &str = "nbpack";

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
/// Larger than that of any key: an RSA key of 16384 bits needs some 5 kB.
const LONGEST: usize = 64 << 10;

fn malformed(what: impl Into<String>) -> SignatureError {
    SignatureError::Malformed { what: what.into() }
}

fn unknown(what: impl Into<String>) -> SignatureError {
    SignatureError::Unknown { what: what.into() }
}

/// Proves that `message` was signed in `namespace` by the key that the signature names, and returns that key.
pub fn check(armored: &str, namespace: &str, message: &[u8]) -> Result<PublicKey, SignatureError> {
    let blob = unarmor(armored)?;
    let mut reader = Reader(&blob);
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(malformed("it does not begin as an SSH signature"));
    }
    let version = reader.u32()?;
    if version != 1 {
        return Err(unknown(format!("version {version}")));
    }
    let key = reader.string()?;
    let found = reader.text()?;
    if found != namespace {
        let of = |name: &str| format!("the namespace {name:?}");
        return Err(SignatureError::Elsewhere { found: of(found), expected: of(namespace) });
    }
    let reserved = reader.string()?;
    let hash = reader.text()?;
    let signature = reader.string()?;
    reader.end()?;
    let algorithm = match hash {
        "sha256" => &ring::digest::SHA256,
        "sha512" => &ring::digest::SHA512,
        other => return Err(unknown(format!("the hash {other:?}"))),
    };
    let mut signed = MAGIC.to_vec();
    put_string(&mut signed, namespace.as_bytes());
    put_string(&mut signed, reserved);
    put_string(&mut signed, hash.as_bytes());
    put_string(&mut signed, ring::digest::digest(algorithm, message).as_ref());
    check_raw(key, signature, &signed)?;
    Ok(PublicKey::Ssh(key.to_vec()))
}

fn unarmor(text: &str) -> Result<Vec<u8>, SignatureError> {
    if text.len() > LONGEST {
        return Err(malformed(format!("it has {} bytes", text.len())));
    }
    let body = text
        .strip_prefix(BEGIN)
        .and_then(|text| text.strip_suffix('\n').unwrap_or(text).strip_suffix(END))
        .ok_or_else(|| malformed("its first or last line is missing"))?;
    let body: String = body.split('\n').collect();
    base64::engine::general_purpose::STANDARD.decode(body).map_err(|error| malformed(error.to_string()))
}

/// Checks one signature in SSH's wire form over `signed`.
fn check_raw(key: &[u8], signature: &[u8], signed: &[u8]) -> Result<(), SignatureError> {
    let (mut key, mut signature) = (Reader(key), Reader(signature));
    let kind = key.text()?;
    let algorithm = signature.text()?;
    let raw = signature.string()?;
    let expected = |name: &str| {
        if algorithm == name {
            Ok(())
        } else {
            Err(malformed(format!("a key of type {kind} does not sign {algorithm:?}")))
        }
    };
    match kind {
        "ssh-ed25519" => {
            expected(kind)?;
            let point = key.string()?;
            verify(&signature::ED25519, point, signed, raw)?;
        }
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" => {
            expected(kind)?;
            let curve = key.text()?;
            let point = key.string()?;
            match curve {
                "nistp256" => verify(&signature::ECDSA_P256_SHA256_FIXED, point, signed, &fixed(raw, 32)?)?,
                "nistp384" => verify(&signature::ECDSA_P384_SHA384_FIXED, point, signed, &fixed(raw, 48)?)?,
                other => return Err(unknown(format!("the curve {other:?}"))),
            }
        }
        "ssh-rsa" => {
            let exponent = key.mpint()?;
            let modulus = key.mpint()?;
            let parameters = match algorithm {
                "rsa-sha2-256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                "rsa-sha2-512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                other => return Err(unknown(format!("the algorithm {other:?}"))),
            };
            let components = RsaPublicKeyComponents { n: modulus, e: exponent };
            components.verify(parameters, signed, raw).map_err(|_| SignatureError::Wrong)?;
        }
        "sk-ssh-ed25519@openssh.com" => {
            expected(kind)?;
            let point = key.string()?;
            let signed = from_token(key.string()?, &mut signature, signed)?;
            verify(&signature::ED25519, point, &signed, raw)?;
        }
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            expected(kind)?;
            if key.text()? != "nistp256" {
                return Err(unknown("another curve than nistp256"));
            }
            let point = key.string()?;
            let signed = from_token(key.string()?, &mut signature, signed)?;
            verify(&signature::ECDSA_P256_SHA256_FIXED, point, &signed, &fixed(raw, 32)?)?;
        }
        other => return Err(unknown(format!("a key of type {other:?}"))),
    }
    key.end()?;
    signature.end()
}

/// What a hardware token signs (`PROTOCOL.u2f`): somebody must have touched it.
fn from_token(application: &[u8], signature: &mut Reader<'_>, signed: &[u8]) -> Result<Vec<u8>, SignatureError> {
    const USER_PRESENT: u8 = 1;
    let flags = signature.u8()?;
    let counter = signature.u32()?;
    if flags & USER_PRESENT == 0 {
        return Err(unknown("a hardware key that nobody touched"));
    }
    let sha256 = |bytes| ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut out = sha256(application).as_ref().to_vec();
    out.push(flags);
    out.extend_from_slice(&counter.to_be_bytes());
    out.extend_from_slice(sha256(signed).as_ref());
    Ok(out)
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    UnparsedPublicKey::new(algorithm, key).verify(signed, signature).map_err(|_| SignatureError::Wrong)
}

/// Two integers (RFC 5656, section 3.1.2) as two numbers of `width` bytes.
fn fixed(raw: &[u8], width: usize) -> Result<Vec<u8>, SignatureError> {
    let mut reader = Reader(raw);
    let mut out = Vec::with_capacity(2 * width);
    for _ in 0..2 {
        let number = reader.mpint()?;
        let pad = width.checked_sub(number.len()).ok_or_else(|| malformed("a number in it is too long"))?;
        out.resize(out.len() + pad, 0);
        out.extend_from_slice(number);
    }
    reader.end()?;
    Ok(out)
}
