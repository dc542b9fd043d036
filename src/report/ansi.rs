//! Terminal text as HTML: colours become classes, every other control sequence is dropped.

use super::escape;

/// The text as HTML. Carriage returns overwrite the line before them, as on a terminal.
pub(super) fn to_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let mut open = false;
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, from) = rest.split_at(at);
        html.push_str(&escape(before));
        let Some(body) = from.strip_prefix("\u{1b}[") else {
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        let end = body.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(body.len());
        let (parameters, after) = body.split_at(end);
        if after.starts_with('m') {
            if open {
                html.push_str("</span>");
            }
            let classes = classes(parameters);
            open = !classes.is_empty();
            if open {
                html.push_str(&format!("<span class=\"{classes}\">"));
            }
        }
        rest = after.get(1..).unwrap_or_default();
    }
    html.push_str(&escape(rest));
    if open {
        html.push_str("</span>");
    }
    html
}

/// Classes of a "select graphic rendition": `a1` … `a7` for colours, `b` for bold. Others are not shown.
fn classes(parameters: &str) -> String {
    let mut classes: Vec<String> = Vec::new();
    let mut numbers = parameters.split(';').map(|number| number.parse::<u16>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => classes.clear(),
            1 => classes.push("b".to_owned()),
            31..=37 => classes.push(format!("a{}", number - 30)),
            91..=97 => classes.push(format!("a{}", number - 90)),
            38 | 48 => {
                // The colour of a palette or as RGB: its numbers are not codes of their own.
                let skip = if numbers.next() == Some(5) { 1 } else { 3 };
                numbers.by_ref().take(skip).for_each(drop);
            }
            _ => {}
        }
    }
    classes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::to_html;

    #[test]
    fn colours_become_classes_and_nothing_else_passes() {
        assert_eq!(to_html("\u{1b}[1;31mred\u{1b}[0m <b>"), "<span class=\"b a1\">red</span> &lt;b&gt;");
        assert_eq!(to_html("\u{1b}[38;5;196mx\u{1b}[2Jy\u{1b}"), "xy");
    }
}
