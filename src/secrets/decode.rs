//! Undoes encodings while remembering where each byte came from, so that what is found can be replaced in the original.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Text with escapes undone.
#[derive(Debug)]
pub(super) struct Decoded {
    /// The text.
    pub(super) text: String,
    /// For each byte of `text`, and for its end: the offset in the original.
    offsets: Vec<usize>,
}

impl Decoded {
    /// Where in the original that lies which became `range` of the text.
    pub(super) fn span(&self, range: std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
        Some(*self.offsets.get(range.start)?..*self.offsets.get(range.end)?)
    }

    /// The piece of the original that became `range` of the text.
    pub(super) fn original<'a>(&self, original: &'a str, range: std::ops::Range<usize>) -> Option<&'a str> {
        original.get(self.span(range)?)
    }
}

/// Removes terminal escapes and undoes JSON, URL and HTML escapes; `None` when there is nothing to undo.
pub(super) fn unescape(original: &str) -> Option<Decoded> {
    if !original.contains(['\\', '%', '&', '\x1b']) {
        return None;
    }
    let mut decoded =
        Decoded { text: String::with_capacity(original.len()), offsets: Vec::with_capacity(original.len()) };
    let mut rest = original;
    let mut changed = false;
    while let Some(first) = rest.chars().next() {
        let at = original.len() - rest.len();
        let (taken, meant) = match first {
            '\\' | '%' | '&' | '\x1b' => {
                escape(rest).inspect(|_| changed = true).unwrap_or((first.len_utf8(), Some(first)))
            }
            other => (other.len_utf8(), Some(other)),
        };
        if let Some(c) = meant {
            decoded.text.push(c);
            decoded.offsets.extend(std::iter::repeat_n(at, c.len_utf8()));
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    decoded.offsets.push(original.len());
    changed.then_some(decoded)
}

/// One escape at the beginning of `text`: its length and the character it means (`None`: nothing).
fn escape(text: &str) -> Option<(usize, Option<char>)> {
    let hex = |range: std::ops::Range<usize>| u32::from_str_radix(text.get(range)?, 16).ok().and_then(char::from_u32);
    let bytes = text.as_bytes();
    match (bytes.first()?, bytes.get(1)?) {
        (b'\\', b'"' | b'\'' | b'/') => Some((2, char::from_u32(u32::from(*bytes.get(1)?)))),
        (b'\\', b'\\') => Some((2, Some('\\'))),
        (b'\\', b'n' | b'r') => Some((2, Some('\n'))),
        (b'\\', b't') => Some((2, Some('\t'))),
        (b'\\', b'u') => Some((6, Some(hex(2..6)?))),
        (b'\\', b'x') => Some((4, Some(hex(2..4)?))),
        (b'%', _) => hex(1..3).filter(char::is_ascii).map(|c| (3, Some(c))),
        (b'&', _) => [
            ("&quot;", '"'),
            ("&#34;", '"'),
            ("&#39;", '\''),
            ("&#x27;", '\''),
            ("&amp;", '&'),
            ("&lt;", '<'),
            ("&gt;", '>'),
        ]
        .iter()
        .find(|(entity, _)| text.starts_with(entity))
        .map(|(entity, c)| (entity.len(), Some(*c))),
        (0x1b, b'[') => {
            let end = bytes.iter().skip(2).take(64).position(|byte| (0x40..=0x7e).contains(byte))?;
            Some((end + 3, None))
        }
        _ => None,
    }
}

/// Longest base64 text that is opened: pictures are longer, credentials are not.
const LONGEST: usize = 64 << 10;
const SHORTEST: usize = 20;

/// Pieces of `text` that are base64 of printable text: the piece, and what it says.
pub(super) fn base64_pieces(text: &str) -> Vec<(&str, String)> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let standard = GeneralPurpose::new(&alphabet::STANDARD, config);
    let url_safe = GeneralPurpose::new(&alphabet::URL_SAFE, config);
    text.split(|c| !is_base64(c) && c != '=')
        .filter_map(|piece| {
            // `token=QWxh…==`: only trailing signs are padding.
            let body = piece.trim_end_matches('=');
            let start = body.rfind('=').map_or(0, |at| at + 1);
            piece.get(start..)
        })
        .filter(|piece| (SHORTEST..=LONGEST).contains(&piece.len()))
        .filter_map(|piece| {
            let bytes = standard.decode(piece).or_else(|_| url_safe.decode(piece)).ok()?;
            let says = String::from_utf8(bytes).ok()?;
            let printable = says.chars().all(|c| !c.is_control() || c.is_whitespace());
            (printable && says.is_ascii()).then_some((piece, says))
        })
        .collect()
}

/// A text of so many base64 digits is data, a picture most often.
const DATA: usize = 400;

/// Whether the place lies within such data: a word begins behind each `+` and `/` of it, and among many pictures one has the
/// four letters there that begin a token (seen in a public notebook).
pub(super) fn is_amid_base64(text: &str, at: usize) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let bytes = text.as_bytes();
    let (before, after) = (bytes.get(..at).unwrap_or_default(), bytes.get(at..).unwrap_or_default());
    if !matches!(before.last(), Some(b'+' | b'/')) {
        return false;
    }
    let run = before.iter().rev().take(DATA).take_while(|byte| digit(byte)).count()
        + after.iter().take(DATA).take_while(|byte| digit(byte)).count();
    run >= DATA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_is_found_again_in_the_original() {
        let original = "a \x1b[31m\\\"x%2Fy\\u0041\x1b[0m&quot; é\\n";
        let decoded = unescape(original).unwrap();
        assert_eq!(decoded.text, "a \"x/yA\" é\n");
        let at = decoded.text.find("x/yA").unwrap();
        assert_eq!(decoded.original(original, at..at + 4).unwrap(), "x%2Fy\\u0041\x1b[0m");
        assert!(unescape("nothing to do").is_none());
        assert!(unescape("100% and \\").is_none());
    }

    #[test]
    fn base64_of_text_is_opened_and_of_pictures_is_not() {
        let text = base64::engine::general_purpose::STANDARD.encode("password = 'correct horse'");
        let line = format!("x={text}, y");
        assert_eq!(base64_pieces(&line)[0].1, "password = 'correct horse'");
        let picture = base64::engine::general_purpose::STANDARD.encode([0x89_u8, 0x50, 0x4e, 0x47].repeat(10));
        assert!(base64_pieces(&picture).is_empty());
    }

    #[test]
    fn a_token_in_a_path_is_not_amid_base64_and_one_in_a_picture_is() {
        let token = "EAACA41Wh59bS0tLS1bdtUlLS1OXLl1qVBQ";
        let at = |text: &str| is_amid_base64(text, text.find("EAAC").unwrap());
        let picture = format!("data:image/png;base64,{}+{token}{}==", "aGVsbG8/".repeat(60), "d29y".repeat(60));
        assert!(at(&picture));
        assert!(!at(&picture.replace('+', " ")) && !at(&format!("https://graph/{token}")) && !at(token));
        assert!(!at(&format!("/home/ada/{}/{token}", "deep/".repeat(20))));
    }
}
