//! Compares HTML and SVG by what is in them: generated ids renamed, tables cell by cell.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

use super::{
    noise::Pair,
    outputs::Tally,
    text::{clip, line_agrees, without},
    timings,
    verdict::{Difference, Place},
};

/// At most this many differing cells are kept for one table.
const KEPT: usize = 20;

static ID: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\bid\s*=\s*(?:"([^"]*)"|'([^']*)')"#).ok());
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\w-]+").ok());

/// A piece of a document.
#[derive(PartialEq, Eq, Debug)]
struct Piece<'a> {
    /// The tag's name in lower case with `/` for an end tag; empty for text.
    tag: String,
    /// The tag's attributes, or the text.
    text: &'a str,
    /// Row and column of the table cell it stands in.
    cell: Option<(usize, usize)>,
}

pub(super) fn compare(pair: &Pair, part: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    let (mut a, mut b) = (recorded.to_owned(), replayed.to_owned());
    let moved = pair.recorded.cwd != pair.replayed.cwd || pair.recorded.home != pair.replayed.home;
    if moved && a != b && pair.rules.on("working_directory") {
        let (new_a, new_b) = (without(&a, &pair.recorded), without(&b, &pair.replayed));
        if new_a != a && new_b != b {
            tally.count("working_directory");
        }
        (a, b) = (new_a, new_b);
    }
    if pair.rules.on("html_id")
        && let Some((renamed_a, renamed_b, count)) = with_common_ids(&a, &b)
    {
        (0..count).for_each(|_| tally.count("html_id"));
        (a, b) = (renamed_a, renamed_b);
    }
    if let Some((alike_a, alike_b, count)) = timings::with_common_arrays(pair, &a, &b) {
        (0..count).for_each(|_| tally.count("duration"));
        (a, b) = (alike_a, alike_b);
    }
    if a == b {
        return;
    }
    let (a, b) = (pieces(&a), pieces(&b));
    let same_shape = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.tag == b.tag);
    if !same_shape {
        let rows = |pieces: &[Piece]| pieces.iter().filter(|piece| piece.tag == "tr").count();
        let first = a.iter().zip(&b).take_while(|(a, b)| a.tag == b.tag && a.text == b.text).count();
        let excerpt = |pieces: &[Piece]| {
            let at = pieces.get(first).map_or_else(
                || "(end)".to_owned(),
                |piece| if piece.tag.is_empty() { clip(piece.text.trim()) } else { format!("<{}>", piece.tag) },
            );
            format!("{} elements, {} table rows; {at}", pieces.len(), rows(pieces))
        };
        let place = Place { part: part.to_owned(), at: None };
        return tally.differ(Difference { place, recorded: excerpt(&a), replayed: excerpt(&b) });
    }
    let mut found = 0;
    let mut labels = Labels::default();
    for (number, (a, b)) in a.iter().zip(&b).enumerate() {
        labels.see(a);
        if a.text == b.text || agree(pair, a, b, tally) {
            continue;
        }
        if labels.name_a_duration(a) && timings::are_durations(pair, a.text, b.text) {
            tally.count("duration");
            continue;
        }
        found += 1;
        let at = match a.cell {
            Some((row, column)) => format!("row {row} column {column}"),
            None => format!("element {}", number + 1),
        };
        let show = |piece: &Piece| if found > KEPT { String::new() } else { clip(piece.text.trim()) };
        tally.differ(Difference {
            place: Place { part: part.to_owned(), at: Some(at) },
            recorded: show(a),
            replayed: show(b),
        });
    }
}

/// What the first cell of the row and of the column says about a table's cell.
#[derive(Default)]
struct Labels<'a> {
    row: &'a str,
    columns: BTreeMap<usize, &'a str>,
}

impl<'a> Labels<'a> {
    fn see(&mut self, piece: &Piece<'a>) {
        match piece.cell {
            Some((_, 0)) | None => {}
            Some((row, column)) => {
                let opens = matches!(piece.tag.as_str(), "td" | "th");
                if opens && (row, column) == (1, 1) {
                    self.columns.clear();
                }
                if opens && column == 1 {
                    self.row = "";
                }
                if piece.tag.is_empty() {
                    // What follows the first text is its explanation.
                    if row == 1 {
                        self.columns.entry(column).or_insert(piece.text);
                    }
                    if column == 1 && self.row.is_empty() {
                        self.row = piece.text;
                    }
                }
            }
        }
    }

    fn name_a_duration(&self, piece: &Piece) -> bool {
        let column = piece.cell.and_then(|(_, column)| self.columns.get(&column).copied());
        piece.tag.is_empty()
            && piece.cell.is_some()
            && [Some(self.row), column].into_iter().flatten().any(timings::is_field)
    }
}

/// Text that stands in lines of its own (scripts, styles, `<pre>`) is compared by line.
fn agree(pair: &Pair, a: &Piece, b: &Piece, tally: &mut Tally) -> bool {
    let (x, y): (Vec<&str>, Vec<&str>) = (a.text.split('\n').collect(), b.text.split('\n').collect());
    if x.len() != y.len() {
        return line_agrees(pair, &a.text.replace('\n', " "), &b.text.replace('\n', " "), tally);
    }
    let mut attempt = Tally::default();
    let all = x.iter().zip(&y).all(|(x, y)| line_agrees(pair, x, y, &mut attempt));
    if all {
        tally.add(attempt);
    }
    all
}

/// Both texts with the n-th id named alike, and how many names differed; `None` when one renaming does not explain
/// all ids.
fn with_common_ids(a: &str, b: &str) -> Option<(String, String, usize)> {
    let ids = |text: &str| -> Vec<String> {
        let found = ID.as_ref().into_iter().flat_map(|regex| regex.captures_iter(text));
        found.filter_map(|id| id.get(1).or(id.get(2)).map(|id| id.as_str().to_owned())).collect()
    };
    let (x, y) = (ids(a), ids(b));
    if x.len() != y.len() {
        return None;
    }
    let (mut forth, mut back) = (BTreeMap::new(), BTreeMap::new());
    for (x, y) in x.iter().zip(&y) {
        if *forth.entry(x.as_str()).or_insert(y.as_str()) != y || *back.entry(y.as_str()).or_insert(x.as_str()) != x {
            return None;
        }
    }
    let differing: BTreeSet<&str> = forth.iter().filter(|(x, y)| x != y).map(|(x, _)| *x).collect();
    if differing.is_empty() {
        return None;
    }
    let names: BTreeMap<&str, String> =
        differing.iter().enumerate().map(|(number, id)| (*id, format!("id{number}"))).collect();
    let names_b: BTreeMap<&str, String> =
        names.iter().filter_map(|(id, name)| Some((*forth.get(id)?, name.clone()))).collect();
    let rename = |text: &str, names: &BTreeMap<&str, String>| {
        WORD.as_ref().map(|regex| {
            let replace = |word: &regex::Captures| {
                let word = word.get(0).map_or("", |word| word.as_str());
                // `#T_ab12c` in a style and `T_ab12c_row0` in an attribute are both whole words.
                names.get(word).map_or_else(|| word.to_owned(), Clone::clone)
            };
            regex.replace_all(text, replace).into_owned()
        })
    };
    Some((rename(a, &names)?, rename(b, &names_b)?, differing.len()))
}

/// What a renderer without fonts and images leaves out of a drawing: texts, images, scripts and descriptions, with what
/// places and styles them where there are any.
pub(super) fn undrawn(svg: &str) -> String {
    const SHAPES: [&str; 15] = [
        "path",
        "rect",
        "circle",
        "ellipse",
        "line",
        "polyline",
        "polygon",
        "clippath",
        "lineargradient",
        "radialgradient",
        "stop",
        "defs",
        "pattern",
        "mask",
        "marker",
    ];
    const PLACES: [&str; 7] = ["svg", "g", "a", "use", "symbol", "switch", "style"];
    let pieces = pieces(svg);
    let placed = pieces.iter().any(|piece| matches!(piece.tag.as_str(), "text" | "image" | "foreignobject"));
    let mut kept = String::new();
    let mut inside_style = false;
    for piece in &pieces {
        let tag = piece.tag.trim_start_matches('/');
        if !tag.is_empty() {
            inside_style = piece.tag == "style";
        }
        let drawn = SHAPES.contains(&tag) || (!placed && (PLACES.contains(&tag) || (tag.is_empty() && inside_style)));
        match (drawn, tag) {
            (true, _) => {}
            (false, "") => kept.push_str(piece.text),
            (false, _) => kept.extend(["<", &piece.tag, piece.text, ">\n"]),
        }
    }
    kept
}

/// Takes a document apart into tags and texts. Not a validating reader: what is odd on both sides is odd alike.
fn pieces(html: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut row, mut column, mut inside) = (0, 0, false);
    let mut rest = html;
    while !rest.is_empty() {
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_tag = rest.starts_with('<') && rest.get(1..2).is_some_and(|c| c != " " && c != "=");
        if !is_tag {
            let end = rest.char_indices().skip(1).find(|(_, c)| *c == '<').map_or(rest.len(), |(at, _)| at);
            let (text, after) = rest.split_at(end);
            if !text.trim().is_empty() {
                pieces.push(Piece { tag: String::new(), text, cell: inside.then_some((row, column)) });
            }
            rest = after;
            continue;
        }
        let end = tag_end(rest);
        let tag = rest.get(1..end).unwrap_or_default();
        let cut = tag.find(|c: char| c.is_whitespace()).unwrap_or(tag.len());
        let (name, attributes) = tag.split_at(cut);
        let name = name.to_ascii_lowercase();
        rest = rest.get(end + 1..).unwrap_or_default();
        match name.as_str() {
            "table" => row = 0,
            "tr" => (row, column) = (row + 1, 0),
            "td" | "th" => (column, inside) = (column + 1, true),
            "/td" | "/th" | "/tr" => inside = false,
            _ => {}
        }
        let raw = matches!(name.as_str(), "script" | "style").then(|| format!("</{name}"));
        pieces.push(Piece { tag: name, text: attributes, cell: inside.then_some((row, column)) });
        if let Some(close) = raw {
            let end = rest.find(&close).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            pieces.push(Piece { tag: String::new(), text, cell: None });
            rest = after;
        }
    }
    pieces
}

/// Where the tag at the beginning ends: the first `>` outside quotes.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return at,
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_renamed_only_when_one_renaming_explains_all() {
        let a = r#"<style>#T_1a {}</style><table id="T_1a"><td id="T_1a_row0">1</td></table>"#;
        let (x, y, count) = with_common_ids(a, &a.replace("T_1a", "T_2b")).unwrap();
        assert_eq!((x == y, count), (true, 2));
        assert!(with_common_ids(r#"<a id="x"><a id="x">"#, r#"<a id="y"><a id="z">"#).is_none());
    }

    #[test]
    fn cells_know_their_row_and_column() {
        let pieces = pieces("<table><tr><th>a</th><td>1 < 2</td></tr><tr><td>b</td></tr></table>");
        let cells: Vec<_> = pieces.iter().filter(|p| p.tag.is_empty()).map(|p| (p.text, p.cell)).collect();
        assert_eq!(cells, [("a", Some((1, 1))), ("1 ", Some((1, 2))), ("< 2", Some((1, 2))), ("b", Some((2, 1)))]);
    }
}
