//! Messages on the wire (messaging specification 5.5, "The wire protocol"): taking apart, signing, making.
//!
//! Nothing here trusts its input: any number of frames of any bytes gives a value or a [`WireError`].

use std::{
    fmt,
    hash::{BuildHasher as _, Hasher as _},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::Value;

/// Stands between the routing identities and the signed part.
pub const DELIMITER: &[u8] = b"<IDS|MSG>";

/// A message that does not have the shape of the wire protocol.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No frame is `<IDS|MSG>`.
    #[error("none of the {found} frames is the delimiter <IDS|MSG>")]
    NoDelimiter {
        /// How many frames there were.
        found: usize,
    },
    /// Signature, header, parent header, metadata and content are not all there.
    #[error("{found} frames after the delimiter, expected 5 or more")]
    TooFewFrames {
        /// How many there were.
        found: usize,
    },
    /// The header is not a JSON object with text values.
    #[error("the header is not a message header")]
    Header {
        /// What the JSON reader said.
        source: serde_json::Error,
    },
}

/// The part of a message after `<IDS|MSG>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// Hexadecimal HMAC of the four parts as it was received; empty where messages are not signed.
    pub signature: Bytes,
    /// Header, parent header, metadata, content: JSON as it was received.
    pub parts: [Bytes; 4],
    /// Binary buffers.
    pub buffers: Vec<Bytes>,
}

/// Takes a message apart: the frames before the delimiter (identities or a topic), and the rest.
pub fn split(frames: &[Bytes]) -> Result<(Vec<Bytes>, Signed), WireError> {
    let mut halves = frames.splitn(2, |frame| frame.as_ref() == DELIMITER);
    let (Some(identities), Some(rest)) = (halves.next(), halves.next()) else {
        return Err(WireError::NoDelimiter { found: frames.len() });
    };
    let [signature, header, parent_header, metadata, content, buffers @ ..] = rest else {
        return Err(WireError::TooFewFrames { found: rest.len() });
    };
    let parts = [header.clone(), parent_header.clone(), metadata.clone(), content.clone()];
    Ok((identities.to_vec(), Signed { signature: signature.clone(), parts, buffers: buffers.to_vec() }))
}

/// A message header. Keys that are missing are empty: kernels of older protocol versions leave some out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Unique for each message.
    pub msg_id: String,
    /// `execute_request`, `status` …
    pub msg_type: String,
    /// The sender's session (of a frontend: one for each client object).
    pub session: String,
    /// Who is at the frontend.
    pub username: String,
    /// When the sender made it: nanoseconds since the epoch; `None` when missing or unreadable.
    pub date: Option<i64>,
    /// Protocol version.
    pub version: String,
    /// The subshell it is for (JEP 91).
    pub subshell_id: Option<String>,
}

#[derive(Deserialize)]
struct RawHeader {
    #[serde(default)]
    msg_id: Option<String>,
    #[serde(default)]
    msg_type: Option<String>,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    date: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    subshell_id: Option<String>,
}

/// Reads a header frame (or a parent header frame, where `{}` gives an empty [`Header`]).
pub fn parse_header(frame: &[u8]) -> Result<Header, WireError> {
    let raw: RawHeader = serde_json::from_slice(frame).map_err(|source| WireError::Header { source })?;
    Ok(Header {
        msg_id: raw.msg_id.unwrap_or_default(),
        msg_type: raw.msg_type.unwrap_or_default(),
        session: raw.session.unwrap_or_default(),
        username: raw.username.unwrap_or_default(),
        date: raw.date.as_deref().and_then(parse_date),
        version: raw.version.unwrap_or_default(),
        subshell_id: raw.subshell_id,
    })
}

/// ISO 8601 with a zone, or without one (then UTC, as jupyter_client assumes).
fn parse_date(text: &str) -> Option<i64> {
    let stamp = text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}Z").parse::<jiff::Timestamp>()).ok()?;
    i64::try_from(stamp.as_nanosecond()).ok()
}

/// The algorithm of `signature_scheme` in a connection file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// What messages are signed with. Empty: they are not signed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    key: Vec<u8>,
    scheme: Scheme,
}

impl SigningKey {
    /// The key of a connection file; `None` when `signature_scheme` is none that we can sign with.
    pub fn new(key: &str, signature_scheme: &str) -> Option<Self> {
        let scheme = match signature_scheme {
            "" | "hmac-sha256" => Scheme::Sha256,
            "hmac-sha224" => Scheme::Sha224,
            "hmac-sha384" => Scheme::Sha384,
            "hmac-sha512" => Scheme::Sha512,
            _ => return None,
        };
        Some(Self { key: key.as_bytes().to_vec(), scheme })
    }

    /// The key's text, for a connection file and for nothing else.
    pub(super) fn reveal(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }

    /// The hexadecimal signature of `parts`; empty when the key is.
    pub fn sign(&self, parts: [&[u8]; 4]) -> String {
        fn hex(bytes: &[u8]) -> String {
            use fmt::Write as _;
            bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
                // Writing to a String cannot fail.
                write!(text, "{byte:02x}").unwrap_or_default();
                text
            })
        }
        macro_rules! with {
            ($hash:ty) => {
                // HMAC takes keys of any length: the `Err` cannot be.
                Hmac::<$hash>::new_from_slice(&self.key).map_or_else(
                    |_| String::new(),
                    |mut mac| {
                        for part in parts {
                            mac.update(part);
                        }
                        hex(&mac.finalize().into_bytes())
                    },
                )
            };
        }
        if self.key.is_empty() {
            return String::new();
        }
        match self.scheme {
            Scheme::Sha224 => with!(sha2::Sha224),
            Scheme::Sha256 => with!(sha2::Sha256),
            Scheme::Sha384 => with!(sha2::Sha384),
            Scheme::Sha512 => with!(sha2::Sha512),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The signature of four parts with `key`.
pub fn sign(key: &SigningKey, parts: [&[u8]; 4]) -> String {
    key.sign(parts)
}

/// A new message of ours, from the delimiter on. `parent_header` is the frame of the message that is answered,
/// `{}` for none; `date` is nanoseconds since the epoch.
pub fn message(
    key: &SigningKey,
    header: &Header,
    parent_header: &[u8],
    metadata: &Value,
    content: &impl serde::Serialize,
    buffers: Vec<Bytes>,
) -> Vec<Bytes> {
    let date = header.date.and_then(|date| jiff::Timestamp::from_nanosecond(date.into()).ok());
    let mut object = serde_json::json!({
        "msg_id": header.msg_id,
        "msg_type": header.msg_type,
        "session": header.session,
        "username": header.username,
        "date": date.map(|date| format!("{date:.6}")).unwrap_or_default(),
        "version": header.version,
    });
    if let (Some(id), Some(object)) = (&header.subshell_id, object.as_object_mut()) {
        object.insert("subshell_id".to_owned(), Value::from(id.as_str()));
    }
    let parts = [
        Bytes::from(object.to_string()),
        Bytes::copy_from_slice(parent_header),
        Bytes::from(metadata.to_string()),
        // What we send ourselves has only keys that are text.
        Bytes::from(serde_json::to_vec(content).unwrap_or_default()),
    ];
    join(key, parts, buffers)
}

/// Signs four parts and puts the frames from the delimiter on in order.
pub fn join(key: &SigningKey, parts: [Bytes; 4], buffers: Vec<Bytes>) -> Vec<Bytes> {
    let signature = key.sign([&parts[0], &parts[1], &parts[2], &parts[3]]);
    let mut frames = Vec::with_capacity(6 + buffers.len());
    frames.push(Bytes::from_static(DELIMITER));
    frames.push(Bytes::from(signature));
    frames.extend(parts);
    frames.extend(buffers);
    frames
}

/// A new message or session id: 32 hexadecimal digits, unique, not secret.
pub fn fresh_id() -> String {
    // The standard library seeds each `RandomState` from the operating system and never twice the same.
    let word = || std::hash::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(texts: &[&str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
    }

    #[test]
    fn identities_and_buffers_of_any_number_are_told_from_the_signed_part() {
        let all = frames(&["id", "other", "<IDS|MSG>", "sig", "{}", "{}", "{}", "{}", "<IDS|MSG>", "buffer"]);
        let (identities, signed) = split(&all).unwrap();
        assert_eq!(identities, frames(&["id", "other"]));
        assert_eq!(signed.buffers, frames(&["<IDS|MSG>", "buffer"]));
    }

    #[test]
    fn short_and_foreign_messages_are_errors() {
        assert!(matches!(split(&[]), Err(WireError::NoDelimiter { found: 0 })));
        assert!(matches!(split(&frames(&["a", "b"])), Err(WireError::NoDelimiter { found: 2 })));
        assert!(matches!(split(&frames(&["<IDS|MSG>", "s", "{}"])), Err(WireError::TooFewFrames { found: 2 })));
        for header in [&b""[..], b"5", b"\xff\xfe", b"{\"msg_id\": 5}", b"{\"date\""] {
            assert!(parse_header(header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn a_header_is_read_with_what_it_has() {
        let header = parse_header(
            br#"{"msg_id":"a","msg_type":"status","date":"2026-11-22T10:00:00.5Z","subshell_id":null,"new":[1]}"#,
        )
        .unwrap();
        assert_eq!((header.msg_id.as_str(), header.msg_type.as_str()), ("a", "status"));
        assert_eq!(header.date, Some(1_795_341_600_500_000_000));
        assert_eq!(parse_header(b"{}").unwrap(), Header::default());
        assert_eq!(parse_date("2026-11-22T10:00:00.5+00:00"), parse_date("2026-11-22T10:00:00.5"));
    }

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        // RFC 4231, test case 2, its data cut into four parts.
        let key = SigningKey::new("Jefe", "hmac-sha256").unwrap();
        let signature = key.sign([b"what do ya ", b"want for ", b"", b"nothing?"]);
        assert_eq!(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(SigningKey::new("", "hmac-sha256").unwrap().sign([b"a", b"b", b"c", b"d"]), "");
        assert!(SigningKey::new("k", "hmac-md5").is_none());
    }

    #[test]
    fn a_key_cannot_reach_a_log() {
        let key = SigningKey::new("very secret", "hmac-sha256").unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn a_message_of_ours_reads_back() {
        let key = SigningKey::new("k", "hmac-sha256").unwrap();
        let header = Header {
            msg_id: fresh_id(),
            msg_type: "stream".to_owned(),
            date: Some(1_795_341_600_500_000_000),
            ..Header::default()
        };
        let content = serde_json::json!({"name": "stdout"});
        let frames = message(&key, &header, b"{}", &Value::Null, &content, vec![Bytes::from_static(b"x")]);
        let (identities, signed) = split(&frames).unwrap();
        assert!(identities.is_empty());
        assert_eq!(parse_header(&signed.parts[0]).unwrap(), header);
        assert_eq!(signed.signature, key.sign(std::array::from_fn(|i| signed.parts[i].as_ref())));
    }

    proptest::proptest! {
        #[test]
        fn no_frames_crash_the_reader(raw: Vec<Vec<u8>>, at: usize) {
            let mut frames: Vec<Bytes> = raw.into_iter().map(Bytes::from).collect();
            frames.insert(at % (frames.len() + 1), Bytes::from_static(DELIMITER));
            if let Ok((_, signed)) = split(&frames) {
                let _unread = parse_header(&signed.parts[0]).is_ok();
            }
        }
    }
}
