//! A layer's tar, made as it is asked for.

use std::sync::Arc;

use super::{
    content::{self, Data},
    plan::Planned,
    tar::{self, Body},
    write::WriteError,
};
use crate::store::Store;

/// Gives the bytes of one layer's tar, in order, however many are wanted at a time.
pub(super) struct Tar<'a> {
    planned: std::slice::Iter<'a, Planned>,
    store: &'a Store,
    /// What is given now, and after it.
    piece: Piece,
    next: Piece,
    ended: bool,
    pub(super) entries: u64,
    /// Files of bytecode that are not in, because they were not understood with certainty.
    pub(super) left_out: u64,
}

/// A run of the archive's bytes. The second number of the first three is how many were given.
enum Piece {
    Bytes(Vec<u8>, usize),
    Shared(Arc<[u8]>, usize),
    Zeros(usize, usize),
    /// With the number of bytes that are left.
    File(content::Stream, u64),
    Nothing,
}

impl<'a> Tar<'a> {
    pub(super) fn new(planned: &'a [Planned], store: &'a Store) -> Self {
        let (piece, next) = (Piece::Nothing, Piece::Nothing);
        Self { planned: planned.iter(), store, piece, next, ended: false, entries: 0, left_out: 0 }
    }

    /// Fills the beginning of `buffer` (not empty), and says how many bytes that are. 0 is the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, WriteError> {
        loop {
            let given = self.piece.give(buffer)?;
            if given > 0 {
                return Ok(given);
            }
            if let Piece::File(stream, _) = std::mem::replace(&mut self.piece, Piece::Nothing) {
                let size = stream.size();
                stream.finish()?;
                self.piece = Piece::Zeros(tar::padding(size), 0);
            } else if !matches!(self.next, Piece::Nothing) {
                self.piece = std::mem::replace(&mut self.next, Piece::Nothing);
            } else if let Some(planned) = self.planned.next() {
                self.begin(planned)?;
            } else if !self.ended {
                self.ended = true;
                self.piece = Piece::Zeros(tar::END.len(), 0);
            } else {
                return Ok(0);
            }
        }
    }

    /// Makes the header of an entry, and finds its content. What is in memory is padded at once.
    fn begin(&mut self, planned: &Planned) -> Result<(), WriteError> {
        let mut entry = planned.entry.clone();
        let size = |bytes: &[u8]| Body::File { size: bytes.len() as u64 };
        self.next = match content::open(planned, self.store)? {
            Some(Data::LeftOut) => {
                self.left_out += 1;
                return Ok(());
            }
            Some(Data::Bytes(mut bytes)) => {
                entry.body = size(&bytes);
                bytes.resize(bytes.len() + tar::padding(bytes.len() as u64), 0);
                Piece::Bytes(bytes, 0)
            }
            Some(Data::Shared(bytes)) => {
                entry.body = size(&bytes);
                Piece::Shared(bytes, 0)
            }
            Some(Data::Stream(stream)) => {
                entry.body = Body::File { size: stream.size() };
                let size = stream.size();
                Piece::File(stream, size)
            }
            None => Piece::Nothing,
        };
        self.entries += 1;
        let header = tar::encode(&entry).ok_or_else(|| WriteError::Name { path: entry.path.clone() })?;
        self.piece = Piece::Bytes(header, 0);
        Ok(())
    }
}

impl Piece {
    /// 0: there is no more.
    fn give(&mut self, buffer: &mut [u8]) -> Result<usize, WriteError> {
        let copied = |from: &[u8], at: &mut usize, buffer: &mut [u8]| {
            let left = from.get(*at..).unwrap_or_default();
            let count = left.len().min(buffer.len());
            if let (Some(to), Some(left)) = (buffer.get_mut(..count), left.get(..count)) {
                to.copy_from_slice(left);
            }
            *at += count;
            count
        };
        match self {
            Self::Bytes(bytes, at) => Ok(copied(bytes, at, buffer)),
            Self::Shared(bytes, at) => {
                let padding = tar::END.get(..tar::padding(bytes.len() as u64)).unwrap_or_default();
                match at.checked_sub(bytes.len()) {
                    None => Ok(copied(bytes, at, buffer)),
                    Some(mut after) => {
                        let count = copied(padding, &mut after, buffer);
                        *at += count;
                        Ok(count)
                    }
                }
            }
            Self::Zeros(length, at) => Ok(copied(tar::END.get(..*length).unwrap_or_default(), at, buffer)),
            Self::File(stream, left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                stream.fill(buffer.get_mut(..count).unwrap_or_default())?;
                *left -= count as u64;
                Ok(count)
            }
            Self::Nothing => Ok(0),
        }
    }
}
