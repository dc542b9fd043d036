//! What a program or Linux draws anew in each run, and how it is told from data: names of temporary files, random ids, ports,
//! places in memory.

/// Whether two names are one but for the eight characters that `tempfile` draws (`[a-z0-9_]`), whatever stands before
/// and after them.
pub(super) fn random_part(a: &str, b: &str) -> bool {
    const DRAWN: usize = 8;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let alike = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(x, y)| x == y).count();
    let before = alike(&mut a.iter().zip(b));
    let after = alike(&mut a.iter().rev().zip(b.iter().rev()));
    let first = a.iter().rposition(|c| *c == b'/').map_or(0, |at| at + 1).max((a.len() - after).saturating_sub(DRAWN));
    let drawn = |part: &[u8]| {
        part.iter().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_')) && part.iter().any(u8::is_ascii_lowercase)
    };
    (first..=before).filter_map(|at| a.get(at..at + DRAWN).zip(b.get(at..at + DRAWN))).any(|(x, y)| {
        let differing = x.iter().zip(y).filter(|(x, y)| x != y).count();
        // Two words are no draws: of the 37 characters eleven are no letters.
        let mixed = [x, y].into_iter().any(|part| part.iter().any(|c| !c.is_ascii_lowercase()));
        drawn(x) && drawn(y) && differing >= 6 && mixed
    })
}

/// Whether two names are one but for what `mktemp(1)` writes over a template's six or more X at its end: letters and digits,
/// of which it draws from 62. Where the code does not name it, a word with a number behind it is no draw.
pub(super) fn made_by_mktemp(code: &str, a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (Some(x), Some(y)) = (last_part(a), last_part(b)) else { return false };
    let is_word = |part: &[u8]| {
        let rest = part.get(1..).unwrap_or_default();
        rest.iter().skip_while(|c| c.is_ascii_lowercase()).all(u8::is_ascii_digit)
    };
    if !code.contains("mktemp") && (is_word(x) || is_word(y)) {
        return false;
    }
    let differing = x.iter().zip(y).filter(|(x, y)| x != y).count();
    let drawn = |part: &[u8]| {
        let kinds = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
        (6..=12).contains(&part.len())
            && part.iter().all(u8::is_ascii_alphanumeric)
            && kinds.iter().filter(|kind| part.iter().any(kind)).count() >= 2
    };
    x.len() == y.len()
        && a.get(..a.len() - x.len()) == b.get(..b.len() - y.len())
        && differing >= 4
        && drawn(x)
        && drawn(y)
}

/// What stands after the last `.`, `-`, `_` or `/`.
fn last_part(name: &[u8]) -> Option<&[u8]> {
    name.rsplit(|c| matches!(c, b'.' | b'-' | b'_' | b'/')).next()
}

pub(super) fn random_uuid(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    matches!(text.as_bytes().get(14), Some(b'1' | b'4' | b'6' | b'7'))
        && matches!(text.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B'))
}

/// `uuid4().hex`: the version and variant digits tell it from an MD5 in 63 of 64 cases on each side.
pub(super) fn random_hex(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    matches!(text.as_bytes().get(12), Some(b'4')) && matches!(text.as_bytes().get(16), Some(b'8' | b'9' | b'a' | b'b'))
}

/// Whether two ids of 32 digits can be two draws. Of two uuids of version 4 two digits in 32 are the same by chance; half of
/// them never are, and somebody has edited one. The versions that hold a time begin or end alike.
pub(super) fn drawn_apart(a: &str, b: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_hexdigit).collect::<Vec<u8>>();
    let (a, b) = (digits(a), digits(b));
    let is_drawn = |digits: &[u8]| digits.get(12) == Some(&b'4');
    let alike = a.iter().zip(&b).filter(|(x, y)| x.eq_ignore_ascii_case(y)).count();
    !is_drawn(&a) || !is_drawn(&b) || alike * 2 < a.len()
}

/// In the range from which Linux takes a port when a program names none (`ip_local_port_range`, ip(7)).
pub(super) fn chosen_port(text: &str) -> bool {
    let digits = text.rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|port| port.parse().ok()).is_some_and(|port: u32| (32_768..=60_999).contains(&port))
}

pub(super) fn heap_address(text: &str) -> bool {
    let value = text.get(2..).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    value.is_some_and(|value| (0x5500_0000_0000..=0x7fff_ffff_ffff).contains(&value))
}

/// Objects lie at multiples of 16: one random number in sixteen does, and few numbers are that large.
pub(super) fn heap_number(value: f64) -> bool {
    (93_458_488_360_960.0..140_737_488_355_328.0).contains(&value) && value % 16.0 == 0.0
}
