//! SSH's wire encoding (RFC 4251, section 5), read with bounds.

use super::SignatureError;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

fn short() -> SignatureError {
    SignatureError::Malformed { what: "it ends early".to_owned() }
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], SignatureError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, SignatureError> {
        self.take(1)?.first().copied().ok_or_else(short)
    }

    pub(super) fn u32(&mut self) -> Result<u32, SignatureError> {
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| short())?;
        Ok(u32::from_be_bytes(bytes))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], SignatureError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, SignatureError> {
        std::str::from_utf8(self.string()?)
            .map_err(|_| SignatureError::Malformed { what: "a name in it is not UTF-8".to_owned() })
    }

    /// A positive integer without its leading zero.
    pub(super) fn mpint(&mut self) -> Result<&'a [u8], SignatureError> {
        let bytes = self.string()?;
        Ok(bytes.strip_prefix(&[0]).unwrap_or(bytes))
    }

    pub(super) fn end(self) -> Result<(), SignatureError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(SignatureError::Malformed { what: format!("{} bytes too many", self.0.len()) })
    }
}

/// The type at the front of a public key.
pub(super) fn key_type(key: &[u8]) -> Option<&str> {
    Reader(key).text().ok().filter(|text| !text.chars().any(char::is_control))
}

/// Appends a string with its length.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    // Digests and names: never near 2^32 bytes.
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}
