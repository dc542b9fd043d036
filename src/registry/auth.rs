//! What a registry asks for when it answers 401 (RFC 9110 §11.6.1, distribution's "Token Authentication").

use std::collections::BTreeMap;

/// A way to say who we are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String> },
}

/// Reads the values of `WWW-Authenticate`; a bearer token is preferred, as it is what the others expect.
pub(super) fn challenge<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for (scheme, parameters) in values.flat_map(split) {
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => {
                if let Some(realm) = parameters.get("realm") {
                    let service = parameters.get("service").cloned();
                    return Some(Challenge::Bearer { realm: realm.clone(), service });
                }
            }
            "basic" => found = Some(Challenge::Basic),
            _ => {}
        }
    }
    found
}

/// Takes one header apart: schemes with their parameters. What is not well formed ends it.
fn split(value: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = value.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.~+!#$%&'*^`|".contains(c)));
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        if word.is_empty() {
            break;
        }
        let after = after.trim_start();
        if let Some(value) = after.strip_prefix('=') {
            let Some((value, after)) = parameter(value.trim_start()) else { break };
            if let Some((_, parameters)) = found.last_mut() {
                parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = after.trim_start_matches([' ', ',', '\t']);
        } else {
            found.push((word.to_owned(), BTreeMap::new()));
            rest = after.trim_start_matches([' ', ',', '\t']);
        }
    }
    found
}

/// A token or a quoted string, and what follows it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return Some((text.get(..end)?.to_owned(), text.get(end..)?));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// Escapes a value for a query or a form (RFC 3986, "unreserved").
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (value, expected) in [
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://auth.x/token",service="reg, \"x\"",scope="repository:a:pull,push""#,
                bearer("https://auth.x/token", Some(r#"reg, "x""#)),
            ),
            (r#"Basic realm=x, bearer  realm = "https://a/t" "#, bearer("https://a/t", None)),
            ("Negotiate", None),
            ("Bearer", None),
            (r#"Bearer realm="unended"#, None),
            (", ,", None),
        ] {
            assert_eq!(challenge([value].into_iter()), expected, "{value}");
        }
    }

    #[test]
    fn what_goes_into_a_query_is_escaped() {
        assert_eq!(escape("repository:a/b:pull,push é"), "repository%3Aa%2Fb%3Apull%2Cpush%20%C3%A9");
    }

    proptest::proptest! {
        /// Whatever a registry asks for, it is read to its end.
        #[test]
        fn no_bytes_in_a_challenge_make_the_reader_panic(
            value in "(Bearer |basic |)([a-z]{0,3}[=\\\\\",\t ]{0,3}|\\PC){0,20}",
        ) {
            challenge([value.as_str()].into_iter());
            proptest::prop_assert!(escape(&value).is_ascii());
        }
    }
}
