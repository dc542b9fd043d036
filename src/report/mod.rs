//! Says what was found, for people and for programs. Computes no verdict.

mod ansi;
mod graph;
#[cfg(test)]
mod hostile_tests;
pub mod html;
mod inputs;
pub mod json;
pub mod junit;
mod outputs;
pub mod standards;
pub mod text;

pub use inputs::inputs;

/// Text for an HTML or XML document, in content and in quoted attributes. Control characters that XML forbids become
/// replacement characters.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_of_a_text_can_act_on_the_page() {
        assert_eq!(escape("<a b='\"'>&\u{1b}"), "&lt;a b=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
    }
}
