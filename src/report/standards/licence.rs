//! Licences as packages word them, and as SPDX does.

/// Identifiers of the SPDX licence list that packages of a notebook have; another text is kept as it is.
const KNOWN: &[&str] = &[
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CNRI-Python",
    "EPL-2.0",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ISC",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "OFL-1.1",
    "OpenSSL",
    "PSF-2.0",
    "PostgreSQL",
    "Python-2.0",
    "Python-2.0.1",
    "SSPL-1.0",
    "TCL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "ZPL-2.1",
    "Zlib",
    "bzip2-1.0.6",
    "curl",
    "libpng-2.0",
];
const EXCEPTIONS: &[&str] =
    &["Classpath-exception-2.0", "GCC-exception-3.1", "LLVM-exception", "Linux-syscall-note", "Bison-exception-2.2"];

/// What trove classifiers, conda and R call licences that have one identifier.
const SAME: &[(&str, &str)] = &[
    ("MIT License", "MIT"),
    ("The MIT License", "MIT"),
    ("ISC License (ISCL)", "ISC"),
    ("Apache 2.0", "Apache-2.0"),
    ("Apache License 2.0", "Apache-2.0"),
    ("Apache License, Version 2.0", "Apache-2.0"),
    ("Apache-2", "Apache-2.0"),
    ("3-Clause BSD License", "BSD-3-Clause"),
    ("BSD 3-Clause", "BSD-3-Clause"),
    ("BSD 3-Clause License", "BSD-3-Clause"),
    ("BSD-3", "BSD-3-Clause"),
    ("BSD-2", "BSD-2-Clause"),
    ("BSD 2-Clause License", "BSD-2-Clause"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("MPL 2.0", "MPL-2.0"),
    ("PSF", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL (>= 2)", "GPL-2.0-or-later"),
    ("GPL (>= 3)", "GPL-3.0-or-later"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("MIT + file LICENSE", "MIT"),
    ("Expat", "MIT"),
];

/// The SPDX expression that a text is, or means; `None` for what has no identifier here.
pub(super) fn spdx(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((_, id)) = SAME.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some((*id).to_owned());
    }
    is_expression(text).then(|| text.to_owned())
}

/// Licence, operator, licence, … with balanced parentheses (SPDX 2.3, annex D).
fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wants_licence, mut after_with) = (0_u32, true, false);
    for word in spaced.split_whitespace() {
        match word {
            "(" if wants_licence && !after_with => depth += 1,
            ")" if !wants_licence && depth > 0 => depth -= 1,
            "AND" | "OR" if !wants_licence => wants_licence = true,
            "WITH" if !wants_licence => (wants_licence, after_with) = (true, true),
            word if wants_licence => {
                let list = if after_with { EXCEPTIONS } else { KNOWN };
                if !list.contains(&word) {
                    return false;
                }
                (wants_licence, after_with) = (false, false);
            }
            _ => return false,
        }
    }
    depth == 0 && !wants_licence
}

#[cfg(test)]
mod tests {
    use super::spdx;

    #[test]
    fn only_what_spdx_knows_is_called_an_expression() {
        assert_eq!(spdx("MIT License").as_deref(), Some("MIT"));
        let text = "BSD-3-Clause AND (MIT OR Apache-2.0 WITH LLVM-exception)";
        assert_eq!(spdx(text).as_deref(), Some(text));
        for text in ["", "BSD", "MIT AND", "(MIT", "MIT)", "MIT OR OR ISC", "MIT WITH MIT", "free, see file"] {
            assert_eq!(spdx(text), None, "{text}");
        }
    }
}
