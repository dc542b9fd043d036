//! Entries to bytes.

use super::{BLOCK, Body, Entry};

/// The end of an archive: two zero blocks, and nothing after them.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest number that eleven octal digits hold.
const MAX_OCTAL_11: u64 = (1 << 33) - 1;

/// The header blocks of an entry; its data and their [`padding`] follow.
///
/// `None`: the name or link text is not UTF-8 and too long for ustar's own fields, so no reader would agree on it.
pub fn encode(entry: &Entry) -> Option<Vec<u8>> {
    let name = entry.name();
    let mut pax = Vec::new();
    let (kind, size, target) = match &entry.body {
        Body::File { size } => (b'0', *size, &[][..]),
        Body::Directory => (b'5', 0, &[][..]),
        Body::Symlink { target } => (b'2', 0, target.as_slice()),
    };
    // Keys in bytewise order: linkpath, mtime, path, size.
    let link_field = if plain(target) && target.len() <= 100 {
        target.to_vec()
    } else {
        pax_record(&mut pax, "linkpath", std::str::from_utf8(target).ok()?.as_bytes());
        stand_in(target)
    };
    let mtime_field = match u64::try_from(entry.mtime) {
        Ok(mtime) if mtime <= MAX_OCTAL_11 => mtime,
        _ => {
            pax_record(&mut pax, "mtime", entry.mtime.to_string().as_bytes());
            0
        }
    };
    let (prefix, name_field) = match split(&name).filter(|_| plain(&name)) {
        Some((prefix, rest)) => (prefix.to_vec(), rest.to_vec()),
        None => {
            pax_record(&mut pax, "path", std::str::from_utf8(&name).ok()?.as_bytes());
            (Vec::new(), stand_in(&name))
        }
    };
    let size_field = if size <= MAX_OCTAL_11 {
        size
    } else {
        pax_record(&mut pax, "size", size.to_string().as_bytes());
        0
    };
    let mut out = Vec::with_capacity(BLOCK);
    if !pax.is_empty() {
        let header = Fields { name: b"././@PaxHeader", prefix: b"", mode: 0o644, size: pax.len() as u64, mtime: 0 };
        header.write(&mut out, b'x', b"");
        let pad = padding(pax.len() as u64);
        out.extend_from_slice(&pax);
        out.resize(out.len() + pad, 0);
    }
    let header = Fields { name: &name_field, prefix: &prefix, mode: entry.mode, size: size_field, mtime: mtime_field };
    header.write(&mut out, kind, &link_field);
    Some(out)
}

/// Zero bytes after `size` bytes of data up to the next block.
pub fn padding(size: u64) -> usize {
    ((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64) as usize
}

/// Bytes that stand in ustar's fields as they are: ASCII, or (where readers see raw bytes anyway) not UTF-8 at all.
fn plain(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_err()
}

/// Splits at the last slash that leaves a prefix of at most 155 and a name of at most 100 bytes.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((&[], name));
    }
    // A slash at the very end belongs to the name, which must not be empty.
    let last = name.len().checked_sub(1)?.min(156);
    let at = name.get(..last)?.iter().rposition(|byte| *byte == b'/').filter(|at| *at > 0)?;
    let (prefix, rest) = (name.get(..at)?, name.get(at + 1..)?);
    (rest.len() <= 100).then_some((prefix, rest))
}

/// What the short field holds where pax has the true text; no reader of pax looks at it.
fn stand_in(text: &[u8]) -> Vec<u8> {
    let mut short: Vec<u8> = text.iter().take(100).map(|byte| if byte.is_ascii() { *byte } else { b'_' }).collect();
    if let (Some(last), Some(b'/')) = (short.last_mut(), text.last()) {
        *last = b'/';
    }
    short
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn pax_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

struct Fields<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    mode: u32,
    size: u64,
    mtime: u64,
}

impl Fields<'_> {
    fn write(&self, out: &mut Vec<u8>, kind: u8, link: &[u8]) {
        let start = out.len();
        field(out, self.name, 100);
        field(out, format!("{:07o}", self.mode).as_bytes(), 8);
        field(out, b"0000000", 8);
        field(out, b"0000000", 8);
        field(out, format!("{:011o}", self.size).as_bytes(), 12);
        field(out, format!("{:011o}", self.mtime).as_bytes(), 12);
        out.extend_from_slice(b"        ");
        out.push(kind);
        field(out, link, 100);
        out.extend_from_slice(b"ustar\x0000");
        field(out, b"", 32);
        field(out, b"", 32);
        field(out, b"0000000", 8);
        field(out, b"0000000", 8);
        field(out, self.prefix, 155);
        field(out, b"", 12);
        let sum: u32 = out.iter().skip(start).map(|byte| u32::from(*byte)).sum();
        let text = format!("{sum:06o}\0 ");
        for (to, from) in out.iter_mut().skip(start + 148).zip(text.bytes()) {
            *to = from;
        }
    }
}

/// `value` and zeros up to `width` bytes.
fn field(out: &mut Vec<u8>, value: &[u8], width: usize) {
    let end = out.len() + width;
    out.extend_from_slice(value.get(..width).unwrap_or(value));
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &[u8]) -> Entry {
        Entry { path: path.to_vec(), body: Body::File { size: 0 }, mode: 0o644, mtime: 0 }
    }

    #[test]
    fn a_long_ascii_path_needs_no_pax_header() {
        let path = [vec![b'd'; 120], b"/".to_vec(), vec![b'f'; 99]].concat();
        let bytes = encode(&file(&path)).unwrap();
        assert_eq!(bytes.len(), BLOCK);
        assert_eq!(&bytes[345..465], vec![b'd'; 120]);
        assert_eq!(&bytes[..99], vec![b'f'; 99]);
    }

    #[test]
    fn the_split_is_at_the_last_slash_that_fits() {
        let name = [&[b'a'; 100][..], b"/", &[b'b'; 54], b"/", &[b'c'; 20]].concat();
        let (prefix, rest) = split(&name).unwrap();
        assert_eq!((prefix.len(), rest.len()), (155, 20));
        let name = [&[b'a'; 100][..], b"/", &[b'b'; 55], b"/", &[b'c'; 20]].concat();
        let (prefix, rest) = split(&name).unwrap();
        assert_eq!((prefix.len(), rest.len()), (100, 76));
    }

    #[test]
    fn a_pax_length_counts_itself() {
        let mut out = Vec::new();
        pax_record(&mut out, "path", &[b'x'; 91]);
        assert_eq!(out.len(), 101);
        assert!(out.starts_with(b"101 path="));
        for n in 80..110 {
            let mut out = Vec::new();
            pax_record(&mut out, "path", &vec![b'x'; n]);
            let text = String::from_utf8(out.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), out.len());
        }
    }

    #[test]
    fn a_size_above_8_gib_goes_to_pax() {
        let mut entry = file(b"big");
        entry.body = Body::File { size: 9 << 30 };
        let bytes = encode(&entry).unwrap();
        assert_eq!(bytes.len(), 3 * BLOCK);
        assert!(bytes[BLOCK..].starts_with(b"19 size=9663676416\n"));
    }

    #[test]
    fn a_long_name_that_is_not_utf_8_cannot_be_said() {
        assert!(encode(&file(&[0xff; 50])).is_some());
        assert!(encode(&file(&[0xff; 200])).is_none());
    }
}
