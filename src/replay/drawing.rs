//! Compares two drawings (SVG): first by what is written in them, and where that differs by what is seen.

use super::{figure, markup, noise::Pair, outputs::Tally};

/// The longer side of a drawing as it is drawn for the comparison is at most this many pixels.
const MOST_PIXELS: f32 = 2048.0;
/// A longer document is not drawn, in bytes.
const LONGEST: usize = 16 << 20;
/// Groups that need a picture of their own may be nested so deep: each takes the memory of the whole.
const DEEPEST: usize = 16;
/// The document of a stranger is read on a stack of its own, in bytes.
const STACK: usize = 64 << 20;

pub(super) fn compare(pair: &Pair, part: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    let mut written = Tally::default();
    markup::compare(pair, part, recorded, replayed, &mut written);
    if written.differences.is_empty() {
        return tally.add(written);
    }
    let mut seen = Tally::default();
    markup::compare(pair, part, &markup::undrawn(recorded), &markup::undrawn(replayed), &mut seen);
    let pictures = seen.differences.is_empty().then(|| Some((draw(recorded)?, draw(replayed)?))).flatten();
    match pictures {
        Some((a, b)) if a.dimensions() == b.dimensions() && shows_something(&a) => {
            figure::compare_pixels(pair, part, &a, &b, &mut seen);
            tally.add(seen);
        }
        _ => tally.add(written),
    }
}

/// What is written differs, so an empty picture says only that the drawing is beyond us.
fn shows_something(picture: &figure::Pixels) -> bool {
    picture.pixels().next().is_some_and(|first| picture.pixels().any(|pixel| pixel != first))
}

/// The drawing as pixels, without its texts and images; `None` where it cannot be drawn, or not within bounds.
pub(super) fn draw(svg: &str) -> Option<figure::Pixels> {
    if svg.len() > LONGEST {
        return None;
    }
    std::thread::scope(|scope| {
        let drawn = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || draw_here(svg)).ok()?;
        // A drawing on which the renderer gives up is one that cannot be drawn.
        drawn.join().ok().flatten()
    })
}

fn draw_here(svg: &str) -> Option<figure::Pixels> {
    use resvg::{tiny_skia, usvg};
    let options = usvg::Options {
        // Neither a file nor an address that the drawing names is opened.
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).ok()?;
    if !tree.filters().is_empty() || depth(tree.root(), 0) > DEEPEST {
        return None;
    }
    let size = tree.size();
    let scale = (MOST_PIXELS / size.width().max(size.height())).min(1.0);
    let across = |length: f32| (length * scale).ceil().max(1.0) as u32;
    let mut pixmap = tiny_skia::Pixmap::new(across(size.width()), across(size.height()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    let (width, height) = (pixmap.width(), pixmap.height());
    image::RgbaImage::from_raw(width, height, pixmap.take_demultiplied())
}

/// How deep groups with a picture of their own are nested.
fn depth(group: &resvg::usvg::Group, above: usize) -> usize {
    let here = above + usize::from(group.should_isolate());
    if here > DEEPEST {
        return here;
    }
    let inner = group.children().iter().map(|child| match child {
        resvg::usvg::Node::Group(group) => depth(group, here),
        _ => here,
    });
    inner.max().unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(inside: &str) -> String {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" height=\"50\">{inside}</svg>")
    }

    #[test]
    fn a_drawing_has_the_pixels_of_its_paths() {
        let picture = draw(&svg("<rect x=\"10\" y=\"10\" width=\"20\" height=\"20\" fill=\"#f00\"/>")).unwrap();
        assert_eq!(picture.dimensions(), (100, 50));
        assert_eq!(picture.get_pixel(15, 15).0, [255, 0, 0, 255]);
        assert_eq!(picture.get_pixel(50, 40).0[3], 0);
    }

    #[test]
    fn hostile_drawings_are_not_drawn() {
        assert!(draw("<svg").is_none());
        assert!(draw("").is_none());
        let nested = format!("{}{}", "<g opacity=\"0.5\">".repeat(40), "<path d=\"M0 0h9v9\"/>");
        assert!(draw(&svg(&format!("{nested}{}", "</g>".repeat(40)))).is_none());
        let deep = format!("{}{}", "<g>".repeat(100_000), "</g>".repeat(100_000));
        assert!(draw(&svg(&deep)).is_none_or(|picture| !shows_something(&picture)));
        let laughs = (1..40).fold(String::new(), |text, n| {
            text + &format!("<g id=\"a{n}\"><use href=\"#a{m}\"/><use href=\"#a{m}\"/></g>", m = n - 1)
        });
        assert!(draw(&svg(&format!("<g id=\"a0\"><path d=\"M0 0h1\"/></g>{laughs}"))).is_none());
        let blurred = "<filter id=\"f\"><feGaussianBlur stdDeviation=\"99999\"/></filter><rect width=\"9\" height=\"9\" filter=\"url(#f)\"/>";
        assert!(draw(&svg(blurred)).is_none());
        let huge = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1e9\" height=\"1e9\"><rect width=\"9\" height=\"9\"/></svg>";
        assert!(draw(huge).is_none_or(|picture| picture.width() <= 2048));
    }

    #[test]
    fn no_file_that_a_drawing_names_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner.svg");
        std::fs::write(&inner, svg("<rect width=\"100\" height=\"50\"/>")).unwrap();
        let outer = svg(&format!("<image href=\"{}\" width=\"100\" height=\"50\"/>", inner.display()));
        assert!(draw(&outer).is_none_or(|picture| !shows_something(&picture)));
    }
}
