//! Compares two figures (PNG, JPEG) by what is seen, not by how it is encoded.

use std::io::Cursor;

use base64::Engine as _;

use super::{
    noise::Pair,
    outputs::Tally,
    verdict::{Difference, Place},
};

/// The side of the squares within which differences are averaged: as large as a character of a small label.
const BLOCK: u32 = 8;
/// A figure that would take more memory than this is not decoded.
const MOST_BYTES: u64 = 512 << 20;

/// A decoded figure.
pub(super) type Pixels = image::RgbaImage;

pub(super) fn compare(pair: &Pair, part: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    let place = Place { part: part.to_owned(), at: None };
    let mut differ =
        |recorded: String, replayed: String| tally.differ(Difference { place: place.clone(), recorded, replayed });
    match (decode(recorded), decode(replayed)) {
        (Ok(a), Ok(b)) => compare_pixels(pair, part, &a, &b, tally),
        (Err(a), Err(b)) => differ(format!("not an image: {a}"), format!("not an image: {b}")),
        (Err(a), _) => differ(format!("not an image: {a}"), "an image".to_owned()),
        (_, Err(b)) => differ("an image".to_owned(), format!("not an image: {b}")),
    }
}

/// Compares two figures that are decoded already.
pub(super) fn compare_pixels(pair: &Pair, part: &str, a: &Pixels, b: &Pixels, tally: &mut Tally) {
    let place = Place { part: part.to_owned(), at: None };
    let mut differ =
        |recorded: String, replayed: String| tally.differ(Difference { place: place.clone(), recorded, replayed });
    if a.dimensions() != b.dimensions() {
        let size = |pixels: &Pixels| format!("{} x {} pixels", pixels.width(), pixels.height());
        return differ(size(a), size(b));
    }
    if a.as_raw() == b.as_raw() {
        tally.figures(true, 0.0);
        return;
    }
    let (distance, pixels) = distance(a, b);
    if distance > pair.rules.figure {
        differ("figure".to_owned(), format!("distance {distance:.3}, {pixels} pixels differ"));
    }
    tally.figures(false, distance);
}

/// A PNG that shows where two figures differ: the recorded one pale, and in red what is not the same, the redder the
/// farther apart. `None` where they are not two images of one size.
pub fn difference(recorded: &str, replayed: &str) -> Option<Vec<u8>> {
    use image::ImageEncoder as _;
    let (a, b) = (decode(recorded).ok()?, decode(replayed).ok()?);
    if a.dimensions() != b.dimensions() {
        return None;
    }
    let mut shown = image::RgbImage::new(a.width(), a.height());
    for ((p, q), out) in a.pixels().zip(b.pixels()).zip(shown.pixels_mut()) {
        let distance = pixel_distance(p.0, q.0);
        let [r, g, b, alpha] = p.0.map(f64::from);
        let grey = 255.0 - (255.0 - (r + g + b) / 3.0) * alpha / 255.0 * 0.3;
        // Even the smallest difference must be seen.
        let red = if distance > 0.0 { 0.35 + 0.65 * distance } else { 0.0 };
        let mix = |from: f64, to: f64| (from + (to - from) * red).round() as u8;
        out.0 = [mix(grey, 214.0), mix(grey, 20.0), mix(grey, 20.0)];
    }
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.write_image(shown.as_raw(), a.width(), a.height(), image::ExtendedColorType::Rgb8).ok()?;
    Some(png)
}

fn decode(base64: &str) -> Result<Pixels, String> {
    let compact: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).map_err(|error| error.to_string())?;
    let mut reader =
        image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    Ok(reader.decode().map_err(|error| error.to_string())?.into_rgba8())
}

/// The largest mean difference of a block of 8 × 8 pixels (0 … 1), and the
/// number of pixels that are not the same. A moved label is far in its block and near in the mean of the figure.
fn distance(a: &Pixels, b: &Pixels) -> (f64, usize) {
    let across = a.width().div_ceil(BLOCK) as usize;
    let mut sums = vec![0.0_f64; across * a.height().div_ceil(BLOCK) as usize];
    let mut differing = 0;
    for ((x, y, p), q) in a.enumerate_pixels().zip(b.pixels()) {
        if p == q {
            continue;
        }
        differing += 1;
        let block = (y / BLOCK) as usize * across + (x / BLOCK) as usize;
        if let Some(sum) = sums.get_mut(block) {
            *sum += pixel_distance(p.0, q.0);
        }
    }
    let largest = sums.into_iter().fold(0.0, f64::max) / f64::from(BLOCK * BLOCK);
    (largest, differing)
}

/// The largest difference of a channel, on the colours as they look on white paper; transparency counts by itself.
/// Not weighted by how bright the eye sees a channel: a line that was grey and is blue now is another line.
fn pixel_distance(p: [u8; 4], q: [u8; 4]) -> f64 {
    let on_white = |[r, g, b, a]: [u8; 4]| {
        let alpha = f64::from(a) / 255.0;
        [r, g, b].map(|c| f64::from(c) / 255.0 * alpha + 1.0 - alpha)
    };
    let channels = on_white(p).into_iter().zip(on_white(q));
    let colour = channels.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
    colour.max((f64::from(p[3]) - f64::from(q[3])).abs() / 255.0 * 0.5)
}
