//! Chunks of a layer's tar to compressed frames, each independent of the others.

use std::io::{self, Write as _};

use super::CHUNK;

/// How layers are compressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Compression {
    /// Frames of level 3; for every engine of today.
    #[default]
    Zstd,
    /// For engines that know no zstd (Docker 20.10, umoci 0.4): same tars, so same diff_ids and image id.
    Gzip,
}

impl Compression {
    /// Names everything that decides the compressed bytes: blobs made under another id are not reused.
    ///
    /// The versions are those that Cargo.toml and Cargo.lock pin; a test holds the zstd one against the library.
    pub fn encoder_id(self) -> &'static str {
        match self {
            Self::Zstd => "zstd1.5.7-l3-c8M-v1",
            Self::Gzip => "deflate-miniz-l6-c8M-v1",
        }
    }

    /// The layers' media type (OCI image-spec, "Layer").
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }

    /// The one with this media type.
    pub fn of_media_type(text: &str) -> Option<Self> {
        [Self::Zstd, Self::Gzip].into_iter().find(|compression| compression.media_type() == text)
    }

    /// The most bytes that a chunk can become.
    pub(super) fn bound(self) -> usize {
        match self {
            Self::Zstd => zstd::zstd_safe::compress_bound(CHUNK),
            Self::Gzip => CHUNK + CHUNK / 1000 + 1024,
        }
    }
}

/// Compresses one chunk after the other; one for each thread.
pub(super) enum Encoder {
    Zstd(zstd::bulk::Compressor<'static>),
    Gzip,
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(3)?;
                encoder.include_contentsize(true)?;
                encoder.include_checksum(false)?;
                encoder.include_dictid(false)?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => Self::Gzip,
        })
    }

    /// Replaces `out` by one frame that holds `chunk`.
    pub(super) fn frame(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        match self {
            Self::Zstd(encoder) => {
                out.reserve(zstd::zstd_safe::compress_bound(chunk.len()));
                encoder.compress_to_buffer(chunk, out)?;
            }
            Self::Gzip => {
                let builder = flate2::GzBuilder::new().mtime(0).operating_system(255);
                let mut member = builder.write(&mut *out, flate2::Compression::new(6));
                member.write_all(chunk)?;
                member.finish()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_id_names_the_library_that_is_linked() {
        assert!(Compression::Zstd.encoder_id().starts_with(&format!("zstd{}-", zstd::zstd_safe::version_string())));
    }

    #[test]
    fn the_bound_holds_for_what_cannot_be_compressed() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(CHUNK)
        .collect();
        for compression in [Compression::Zstd, Compression::Gzip] {
            let mut out = Vec::new();
            Encoder::new(compression).unwrap().frame(&noise, &mut out).unwrap();
            assert!(out.len() <= compression.bound(), "{compression:?}: {}", out.len());
        }
    }
}
