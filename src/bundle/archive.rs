//! A bundle as the archive that container engines load: plain layers, as `docker save` writes them.
//!
//! Every engine takes this one, also those that know no zstd. The image keeps its id, for the config is the bundle's.

use std::io::{self, Read as _, Write};

use super::{
    Progress,
    read::{Bundle, Layer, ReadError},
    tar::{self, Body},
    unpack::{LayerError, Stream},
};

/// The archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bundle.
    #[error("cannot read the bundle")]
    Read(#[from] ReadError),
    /// One of its layers.
    #[error("layer {index} (`{title}`)")]
    Layer {
        /// Counted from 0.
        index: usize,
        /// Its title.
        title: String,
        /// Why.
        source: Box<LayerError>,
    },
    /// Whoever takes it.
    #[error("cannot hand it over")]
    Write(#[source] io::Error),
}

/// Writes `bundle` to `out`, under the name `reference`.
///
/// What says that the archive is an image comes last, when every layer was proved: one that is cut short is none.
pub fn write(
    bundle: &Bundle,
    reference: &str,
    out: &mut impl Write,
    progress: &dyn Progress,
) -> Result<(), ArchiveError> {
    let config = format!("{}.json", bundle.config_descriptor().digest.hex());
    let name = |layer: &Layer| format!("{}.tar", layer.diff_id.0.hex());
    add(out, &config, bundle.config_bytes())?;
    let layers = bundle.layers();
    for (index, layer) in layers.iter().enumerate() {
        // The same content twice is one file.
        if layers.iter().take(index).any(|below| below.diff_id == layer.diff_id) {
            continue;
        }
        progress.layer(index, layers.len(), &layer.title, false);
        add_layer(bundle, index, layer, &name(layer), out)?;
    }
    let manifest = serde_json::json!([{
        "Config": config,
        "Layers": layers.iter().map(name).collect::<Vec<_>>(),
        "RepoTags": [reference],
    }]);
    add(out, "manifest.json", manifest.to_string().as_bytes())?;
    out.write_all(&tar::END).and_then(|()| out.flush()).map_err(ArchiveError::Write)
}

fn add(out: &mut impl Write, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    begin(out, name, bytes.len() as u64)?;
    out.write_all(bytes).and_then(|()| pad(out, bytes.len() as u64)).map_err(ArchiveError::Write)
}

fn begin(out: &mut impl Write, name: &str, size: u64) -> Result<(), ArchiveError> {
    let entry = tar::Entry { path: name.into(), body: Body::File { size }, mode: 0o644, mtime: super::CLAMP };
    // ASCII and short: always encodable.
    out.write_all(&tar::encode(&entry).unwrap_or_default()).map_err(ArchiveError::Write)
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    out.write_all(tar::END.get(..tar::padding(size)).unwrap_or_default())
}

fn add_layer(
    bundle: &Bundle,
    index: usize,
    layer: &Layer,
    name: &str,
    out: &mut impl Write,
) -> Result<(), ArchiveError> {
    let wrong = |source| ArchiveError::Layer { index, title: layer.title.clone(), source: Box::new(source) };
    let mut stream = Stream::open(bundle, layer).map_err(wrong)?;
    begin(out, name, layer.size)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = stream.read(&mut buffer).map_err(ArchiveError::Write)?;
        if read == 0 {
            break;
        }
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(ArchiveError::Write)?;
    }
    // Also that it has the size that its header says.
    stream.finish().map_err(wrong)?;
    pad(out, layer.size).map_err(ArchiveError::Write)
}
