//! Code without what is no code in it: comments, the texts of strings, the names of keyword arguments.

/// The code without comments and without the text of strings (what stands in an f-string's braces is kept).
pub(super) fn without_strings(code: &str) -> String {
    let chars: Vec<char> = code.chars().collect();
    let mut out = String::with_capacity(code.len());
    let mut at = 0;
    let three = |at: usize, quote: char| (0..3).all(|i| chars.get(at + i) == Some(&quote));
    while let Some(&c) = chars.get(at) {
        match c {
            '#' => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
            }
            '\'' | '"' => {
                let formatted = drop_prefix(&mut out).contains(['f', 't']);
                let length = if three(at, c) { 3 } else { 1 };
                at += length;
                let mut fields = Fields::default();
                out.push(' ');
                while let Some(&inner) = chars.get(at) {
                    if inner == '\\' {
                        at += 2;
                        continue;
                    }
                    if inner == c && (length == 1 || three(at, c)) {
                        at += length;
                        break;
                    }
                    if inner == '\n' && length == 1 {
                        break;
                    }
                    if formatted {
                        at += fields.take(chars.get(at..).unwrap_or_default(), &mut out);
                    } else {
                        at += 1;
                    }
                }
                out.push(' ');
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    out
}

/// The words of a text: letters, digits and underscores in a row.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Where in an f-string one is: its replacement fields, the innermost last (Python's "Formatted string literals").
#[derive(Default)]
struct Fields(Vec<Field>);

#[derive(Default)]
struct Field {
    /// Open brackets in its expression.
    brackets: usize,
    /// The expression is over: what follows says how it is written.
    is_format: bool,
}

impl Fields {
    /// Looks at the next characters, adds what belongs to an expression to `out`, and says how many it took.
    fn take(&mut self, rest: &[char], out: &mut String) -> usize {
        let next = |at: usize| rest.get(at).copied().unwrap_or_default();
        let Some(field) = self.0.last_mut().filter(|field| !field.is_format) else {
            match next(0) {
                '{' if next(1) == '{' && self.0.is_empty() => return 2,
                '{' => self.0.push(Field::default()),
                '}' => drop(self.0.pop()),
                _ => {}
            }
            return 1;
        };
        match next(0) {
            '}' if field.brackets == 0 => {
                self.0.pop();
                out.push(' ');
            }
            ':' if field.brackets == 0 => {
                field.is_format = true;
                out.push(' ');
            }
            '!' if field.brackets == 0 && matches!(next(1), 'r' | 's' | 'a') && matches!(next(2), '}' | ':') => {
                return 2;
            }
            quote @ ('\'' | '"') => {
                let inside = rest.iter().skip(1).take_while(|c| **c != '\n' && **c != quote).count();
                out.push(' ');
                return 1 + inside + usize::from(next(1 + inside) == quote);
            }
            c => {
                match c {
                    '(' | '[' | '{' => field.brackets += 1,
                    ')' | ']' | '}' => field.brackets = field.brackets.saturating_sub(1),
                    _ => {}
                }
                out.push(c);
            }
        }
        1
    }
}

/// Takes a string's prefix (`f`, `rb`, `T`) off the code before its quote, where it is no name, and gives it in small letters.
fn drop_prefix(code: &mut String) -> String {
    let word = code.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
    let prefix = code.get(word..).unwrap_or_default().to_ascii_lowercase();
    // Python's "String and Bytes literals"; `t` since 3.14.
    if !matches!(prefix.as_str(), "r" | "u" | "b" | "f" | "t" | "br" | "rb" | "fr" | "rf" | "tr" | "rt") {
        return String::new();
    }
    code.truncate(word);
    prefix
}

/// The code without the names of keyword arguments: `f(x, color=c)` neither binds nor uses `color`.
pub(super) fn without_keywords(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut open = Vec::new();
    // The last character that is no white space.
    let mut last = '\n';
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if word > 0 {
            let (name, after) = rest.split_at(word);
            let value = after.trim_start().strip_prefix('=').filter(|value| !value.starts_with('='));
            match value {
                Some(value) if open.last() == Some(&'(') && matches!(last, '(' | ',') => {
                    out.push(' ');
                    rest = value;
                }
                _ => {
                    out.push_str(name);
                    rest = after;
                }
            }
            last = 'x';
            continue;
        }
        match c {
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
        if !c.is_whitespace() {
            last = c;
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}
