//! Path patterns of `nbpack.toml`.

use regex::bytes::Regex;

use super::{paths, rules::Context};

/// A pattern: `*` and `?` stay within a name, `**` crosses directories. `/…` is absolute, `~/…` is below home, a
/// pattern with a slash is below the kernel's working directory (`**/…` anywhere), one without is a file name.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    regex: Regex,
    anchor: Anchor,
}

#[derive(Clone, Copy, Debug)]
enum Anchor {
    Root,
    Home,
    Cwd,
    Name,
}

impl Glob {
    /// Compiles a pattern.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        let (anchor, pattern) = if let Some(rest) = text.strip_prefix("~/") {
            (Anchor::Home, rest)
        } else if text.starts_with('/') || text.starts_with("**/") {
            (Anchor::Root, text)
        } else if text.contains('/') {
            (Anchor::Cwd, text.trim_start_matches("./"))
        } else {
            (Anchor::Name, text)
        };
        let mut regex = String::from("(?s-u)^");
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let (taken, piece) = if rest.starts_with("**/") {
                (3, "(?:.*/)?".to_owned())
            } else if rest.starts_with("**") {
                (2, ".*".to_owned())
            } else if first == '*' {
                (1, "[^/]*".to_owned())
            } else if first == '?' {
                (1, "[^/]".to_owned())
            } else {
                // Bytes mode without Unicode: what is not ASCII is matched byte by byte.
                let mut buffer = [0; 4];
                let bytes: Vec<String> =
                    first.encode_utf8(&mut buffer).bytes().map(|byte| format!("\\x{byte:02x}")).collect();
                (first.len_utf8(), bytes.concat())
            };
            regex.push_str(&piece);
            rest = rest.get(taken..).unwrap_or_default();
        }
        regex.push('$');
        Ok(Self { text: text.to_owned(), regex: Regex::new(&regex)?, anchor })
    }

    /// The pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `path` (absolute) is meant.
    pub fn matches(&self, path: &[u8], context: &Context) -> bool {
        let subject = match self.anchor {
            Anchor::Root => Some(path),
            Anchor::Home => paths::relative(path, &context.home),
            Anchor::Cwd => paths::relative(path, &context.cwd),
            Anchor::Name => Some(paths::name(path)),
        };
        subject.is_some_and(|subject| self.regex.is_match(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored_as_documented() {
        let context = Context { home: b"/h".to_vec(), cwd: b"/h/nb".to_vec(), ..Context::default() };
        for (pattern, path, expected) in [
            ("*.csv", &b"/x/a.csv"[..], true),
            ("*.csv", b"/x/a.csvx", false),
            ("data/*", b"/h/nb/data/a", true),
            ("data/*", b"/h/nb/data/a/b", false),
            ("data/**", b"/h/nb/data/a/b", true),
            ("data/**/b", b"/h/nb/data/b", true),
            ("~/.conf*", b"/h/.config", true),
            ("/mnt/**", b"/mnt/x/y", true),
            ("**/gr\u{fc}n?.txt", "/x/gr\u{fc}n1.txt".as_bytes(), true),
            ("a.b", b"/x/aXb", false),
            ("**/x(", b"/y/x(", true),
            ("*", b"/x/\xff", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(path, &context), expected, "{pattern}");
        }
    }
}
