//! ZMTP 3.0 with the NULL mechanism (<https://rfc.zeromq.org/spec/23/>): greeting, READY, frames.
//!
//! Why not a ZeroMQ library here: a proxy wants one connection of a frontend to be one connection of the kernel, the
//! peer's own identity and socket type passed on, back pressure of each peer on itself alone, and frames of any size
//! that are read once and written from where they lie, the largest of them while they still arrive. What comes in is
//! foreign: each shape of bytes gives a message or a [`ZmtpError`].

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Frames of one message.
pub(super) type Message = Vec<Bytes>;

/// Frames up to this length are cut from the read buffer; longer ones get memory of their own.
const SMALL: usize = 16 << 10;
/// Up to so many bytes are copied together and written with one call.
const TOGETHER: usize = 96 << 10;
/// Flags and an eight-byte length.
const LONGEST_HEAD: usize = 9;
/// The most memory that is set aside because a peer merely *says* that a frame is so long.
const TRUST: u64 = 256 << 20;
/// A buffer of so many bytes is passed on while it arrives, where [`Reader::pass_large_on`] was asked for.
const LARGE: u64 = 1 << 20;
/// Read at once of a message that is passed on: more does not fit into a socket anyhow.
const PIECE: usize = 256 << 10;
/// No Jupyter message has so many frames.
const MAX_FRAMES: usize = 1 << 16;
/// How long a peer may take to introduce itself.
const HANDSHAKE: Duration = Duration::from_secs(30);

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// A connection that does not speak ZMTP as we do, or broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum ZmtpError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the peer does not speak ZMTP 3")]
    Greeting,
    #[error("the peer wants the security mechanism `{0}`, only NULL is spoken here")]
    Mechanism(String),
    #[error("the peer did not introduce itself")]
    Ready,
    #[error("a frame with unknown flags {0:#04x}")]
    Flags(u8),
    #[error("a frame of {0} bytes does not fit into memory")]
    TooLong(u64),
    #[error("a message of more than {MAX_FRAMES} frames")]
    TooManyFrames,
}

/// How one end introduces itself.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    /// `ROUTER`, `DEALER` …
    pub socket_type: String,
    /// The routing identity, empty for none.
    pub identity: Bytes,
}

/// What a peer sent.
#[derive(Debug)]
pub(super) enum Received {
    Message(Message),
    /// The body of a command frame.
    Command(Bytes),
    /// The first frames of a message whose next one is large. The rest comes in pieces, the next of them first.
    Beginning(Message),
    /// What follows a beginning, as it came over the wire; with `last` the message is complete.
    Piece {
        bytes: Bytes,
        last: bool,
    },
}

/// Greets, and gives what the peer says of itself, and the two directions.
pub(super) async fn handshake<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    read: R,
    write: W,
    own: &Introduction,
) -> Result<(Introduction, Reader<R>, Writer<W>), ZmtpError> {
    tokio::time::timeout(HANDSHAKE, introduce(read, write, own)).await.map_err(|_| ZmtpError::Ready)?
}

async fn introduce<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut read: R,
    mut write: W,
    own: &Introduction,
) -> Result<(Introduction, Reader<R>, Writer<W>), ZmtpError> {
    write.write_all(&greeting()).await?;
    // A peer of an older version sends fewer bytes: its first ten tell already.
    let mut signature = [0_u8; 11];
    read.read_exact(&mut signature).await?;
    let [0xFF, .., 0x7F, major] = signature else { return Err(ZmtpError::Greeting) };
    if major < 3 {
        return Err(ZmtpError::Greeting);
    }
    let mut rest = [0_u8; 53];
    read.read_exact(&mut rest).await?;
    let mechanism = rest.get(1..21).unwrap_or_default();
    let mechanism = String::from_utf8_lossy(mechanism).trim_end_matches('\0').to_owned();
    if mechanism != "NULL" {
        return Err(ZmtpError::Mechanism(mechanism));
    }
    let mut writer = Writer { io: write, written: Arc::default() };
    writer.command(&ready(own)).await?;
    let mut reader = Reader::new(read);
    match reader.receive().await? {
        Some(Received::Command(body)) => Ok((parse_ready(&body).ok_or(ZmtpError::Ready)?, reader, writer)),
        _ => Err(ZmtpError::Ready),
    }
}

/// Signature, version 3.0, mechanism NULL, filler: 64 bytes.
fn greeting() -> [u8; 64] {
    let mut bytes = [0_u8; 64];
    let start = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\0NULL";
    bytes.iter_mut().zip(start).for_each(|(byte, start)| *byte = *start);
    bytes
}

fn ready(own: &Introduction) -> Bytes {
    let mut body = BytesMut::new();
    body.put_slice(b"\x05READY");
    for (name, value) in [(&b"Socket-Type"[..], own.socket_type.as_bytes()), (b"Identity", &own.identity)] {
        body.put_u8(name.len() as u8);
        body.put_slice(name);
        body.put_u32(value.len() as u32);
        body.put_slice(value);
    }
    body.freeze()
}

fn parse_ready(body: &Bytes) -> Option<Introduction> {
    let mut properties = body.strip_prefix(b"\x05READY")?;
    let mut peer = Introduction { socket_type: String::new(), identity: Bytes::new() };
    while let Some((&length, rest)) = properties.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(length))?;
        let (length, rest) = rest.split_at_checked(4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            peer.socket_type = String::from_utf8_lossy(value).into_owned();
        } else if name.eq_ignore_ascii_case(b"Identity") {
            peer.identity = Bytes::copy_from_slice(value);
        }
        properties = rest;
    }
    Some(peer)
}

/// The answer to a PING command; `None` for other commands.
pub(super) fn pong(command: &[u8]) -> Option<Bytes> {
    let context = command.strip_prefix(b"\x04PING")?.get(2..)?;
    Some([b"\x04PONG", context].concat().into())
}

/// Reads messages. A dropped [`Reader::receive`] loses nothing: what was read stays here.
#[derive(Debug)]
pub(super) struct Reader<R> {
    io: R,
    buffer: BytesMut,
    /// Complete frames of the message under way.
    frames: Message,
    /// A long frame under way: its flags, its bytes so far, how many are missing.
    long: Option<(u8, Vec<u8>, u64)>,
    /// Whether this place of a message, told by the frames before it, may be passed on in pieces.
    may_pass: fn(&[Bytes]) -> bool,
    /// A message that is passed on: how many bytes of the frame under way are missing, and whether it is the last.
    passing: Option<(u64, bool)>,
    /// Bytes that the last read brought.
    last_read: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    fn new(io: R) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
            frames: Vec::new(),
            long: None,
            may_pass: |_| false,
            passing: None,
            last_read: 0,
        }
    }

    /// From now on large frames of which `may_pass` says so are given in pieces, as they arrive.
    pub(super) fn pass_large_on(&mut self, may_pass: fn(&[Bytes]) -> bool) {
        self.may_pass = may_pass;
    }

    /// Whether the next [`Reader::receive`] would have to wait for a peer that sends little at a time.
    pub(super) fn has_trickled_dry(&self) -> bool {
        self.buffer.is_empty() && self.long.is_none() && self.passing.is_none() && self.last_read < SMALL
    }

    /// The next message or command; `None` at the end of the connection, wherever it came.
    pub(super) async fn receive(&mut self) -> Result<Option<Received>, ZmtpError> {
        loop {
            if let Some((missing, last)) = self.passing {
                return self.next_piece(missing, last).await;
            }
            if let Some((flags, body)) = self.next_frame()? {
                if flags & COMMAND != 0 {
                    return Ok(Some(Received::Command(body)));
                }
                self.frames.push(body);
                if flags & MORE == 0 {
                    return Ok(Some(Received::Message(std::mem::take(&mut self.frames))));
                }
                if self.frames.len() > MAX_FRAMES {
                    return Err(ZmtpError::TooManyFrames);
                }
                continue;
            }
            if self.passing.is_some() {
                return Ok(Some(Received::Beginning(std::mem::take(&mut self.frames))));
            }
            let read = if let Some((_, body, missing)) = &mut self.long {
                if body.len() == body.capacity() {
                    let more = (*missing).min(TRUST) as usize;
                    body.try_reserve_exact(more).map_err(|_| ZmtpError::TooLong(*missing))?;
                }
                let read = self.io.read_buf(&mut body.limit(usize::try_from(*missing).unwrap_or(usize::MAX))).await?;
                *missing -= read as u64;
                read
            } else {
                if self.buffer.capacity() - self.buffer.len() < SMALL {
                    self.buffer.reserve(4 * SMALL);
                }
                self.io.read_buf(&mut self.buffer).await?
            };
            if read == 0 {
                return Ok(None);
            }
            self.last_read = read;
        }
    }

    /// The next bytes of a message that is passed on.
    async fn next_piece(&mut self, missing: u64, last: bool) -> Result<Option<Received>, ZmtpError> {
        loop {
            if missing > 0 && !self.buffer.is_empty() {
                let here = self.buffer.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
                let bytes = self.buffer.split_to(here).freeze();
                return Ok(Some(self.piece(bytes, missing - here as u64, last)));
            }
            if missing == 0
                && let Some((flags, length, head)) = self.next_head()?
            {
                if flags & COMMAND != 0 {
                    // Within a message there is none (RFC 23, "traffic").
                    return Err(ZmtpError::Flags(flags));
                }
                let bytes = self.buffer.split_to(head).freeze();
                return Ok(Some(self.piece(bytes, length, flags & MORE == 0)));
            }
            if self.buffer.capacity() - self.buffer.len() < PIECE / 4 {
                self.buffer.reserve(PIECE);
            }
            self.last_read = self.io.read_buf(&mut self.buffer).await?;
            if self.last_read == 0 {
                return Ok(None);
            }
        }
    }

    fn piece(&mut self, bytes: Bytes, missing: u64, last: bool) -> Received {
        let done = missing == 0 && last;
        self.passing = (!done).then_some((missing, last));
        Received::Piece { bytes, last: done }
    }

    /// Flags and length of the frame that begins in the buffer, and how long its head is.
    fn next_head(&self) -> Result<Option<(u8, u64, usize)>, ZmtpError> {
        let mut header = self.buffer.as_ref();
        let Some(flags) = header.try_get_u8().ok() else { return Ok(None) };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(ZmtpError::Flags(flags));
        }
        let length =
            if flags & LONG != 0 { header.try_get_u64().ok() } else { header.try_get_u8().ok().map(u64::from) };
        Ok(length.map(|length| (flags, length, self.buffer.len() - header.len())))
    }

    /// A frame that is complete in memory: its flags and body.
    fn next_frame(&mut self) -> Result<Option<(u8, Bytes)>, ZmtpError> {
        if let Some((flags, body, 0)) = &mut self.long {
            let frame = (*flags, Bytes::from(std::mem::take(body)));
            self.long = None;
            return Ok(Some(frame));
        }
        if self.long.is_some() {
            return Ok(None);
        }
        let Some((flags, length, head)) = self.next_head()? else { return Ok(None) };
        if length <= SMALL as u64 {
            let length = length as usize;
            if self.buffer.len() - head < length {
                return Ok(None);
            }
            self.buffer.advance(head);
            return Ok(Some((flags, self.buffer.split_to(length).freeze())));
        }
        if length >= LARGE && flags & COMMAND == 0 && (self.may_pass)(&self.frames) {
            // Its head goes on with its bytes.
            self.passing = Some((0, false));
            return Ok(None);
        }
        self.buffer.advance(head);
        let mut body = Vec::new();
        body.try_reserve_exact(length.min(TRUST) as usize).map_err(|_| ZmtpError::TooLong(length))?;
        let here = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        body.extend_from_slice(&self.buffer.split_to(here));
        self.long = Some((flags, body, length - here as u64));
        self.next_long_if_complete()
    }

    fn next_long_if_complete(&mut self) -> Result<Option<(u8, Bytes)>, ZmtpError> {
        if self.long.as_ref().is_some_and(|(_, _, missing)| *missing == 0) { self.next_frame() } else { Ok(None) }
    }
}

/// Writes messages from the memory they lie in.
#[derive(Debug)]
pub(super) struct Writer<W> {
    io: W,
    /// Bytes that the operating system took, counted while a long message is under way too.
    pub(super) written: Arc<AtomicU64>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes one message. Must run to its end: half a message ends the connection for the peer.
    pub(super) async fn send(&mut self, frames: &[Bytes]) -> Result<(), ZmtpError> {
        self.send_all(std::slice::from_ref(&frames)).await
    }

    /// Writes messages, small ones with one call. Must run to its end as well.
    pub(super) async fn send_all<M: AsRef<[Bytes]>>(&mut self, messages: &[M]) -> Result<(), ZmtpError> {
        let frames = || messages.iter().flat_map(|message| message.as_ref());
        let total = frames().map(|frame| frame.len() + LONGEST_HEAD).sum::<usize>();
        if total <= TOGETHER {
            let mut bytes = BytesMut::with_capacity(total);
            for message in messages.iter().map(AsRef::as_ref) {
                let last = message.len().saturating_sub(1);
                for (number, frame) in message.iter().enumerate() {
                    put_head(&mut bytes, if number < last { MORE } else { 0 }, frame.len());
                    bytes.put_slice(frame);
                }
            }
            self.io.write_all(&bytes).await?;
            self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return Ok(());
        }
        let mut heads = BytesMut::with_capacity(frames().count() * LONGEST_HEAD);
        let mut pieces: Vec<Bytes> = Vec::with_capacity(frames().count() * 2);
        for message in messages.iter().map(AsRef::as_ref) {
            let last = message.len().saturating_sub(1);
            for (number, frame) in message.iter().enumerate() {
                put_head(&mut heads, if number < last { MORE } else { 0 }, frame.len());
                pieces.push(heads.split().freeze());
                if !frame.is_empty() {
                    pieces.push(frame.clone());
                }
            }
        }
        self.write_pieces(&pieces).await
    }

    /// Writes bytes that are ZMTP already.
    pub(super) async fn raw(&mut self, bytes: &[u8]) -> Result<(), ZmtpError> {
        self.io.write_all(bytes).await?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes one command.
    pub(super) async fn command(&mut self, body: &Bytes) -> Result<(), ZmtpError> {
        let mut bytes = BytesMut::with_capacity(body.len() + LONGEST_HEAD);
        put_head(&mut bytes, COMMAND, body.len());
        bytes.put_slice(body);
        self.io.write_all(&bytes).await?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes from where the pieces lie.
    async fn write_pieces(&mut self, pieces: &[Bytes]) -> Result<(), ZmtpError> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut slices = slices.as_mut_slice();
        while !slices.is_empty() {
            // `write_vectored` takes at most IOV_MAX pieces.
            let some = slices.get(..slices.len().min(512)).unwrap_or_default();
            let written = self.io.write_vectored(some).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.written.fetch_add(written as u64, Ordering::Relaxed);
            IoSlice::advance_slices(&mut slices, written);
        }
        Ok(())
    }
}

/// The beginning of a message as it goes over the wire, more frames to follow.
pub(super) fn beginning(frames: &[Bytes]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(frames.iter().map(|frame| frame.len() + LONGEST_HEAD).sum());
    for frame in frames {
        put_head(&mut bytes, MORE, frame.len());
        bytes.put_slice(frame);
    }
    bytes.freeze()
}

fn put_head(head: &mut BytesMut, flags: u8, length: usize) {
    match u8::try_from(length) {
        Ok(length) => {
            head.put_u8(flags);
            head.put_u8(length);
        }
        Err(_) => {
            head.put_u8(flags | LONG);
            head.put_u64(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<&[u8]> {
        Reader::new(bytes)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn introduction(socket_type: &str, identity: &'static [u8]) -> Introduction {
        Introduction { socket_type: socket_type.to_owned(), identity: Bytes::from_static(identity) }
    }

    #[test]
    fn messages_of_all_sizes_come_through_as_they_were() {
        run(async {
            let (one, two) = tokio::io::duplex(1000);
            let ((r1, w1), (r2, w2)) = (tokio::io::split(one), tokio::io::split(two));
            let (router, dealer) = (introduction("ROUTER", b""), introduction("DEALER", b"\x01\xff"));
            let (left, right) = tokio::join!(handshake(r1, w1, &router), handshake(r2, w2, &dealer));
            let ((peer, mut reader, _w), (_, _r, mut writer)) = (left.unwrap(), right.unwrap());
            assert_eq!((peer.socket_type.as_str(), peer.identity.as_ref()), ("DEALER", &b"\x01\xff"[..]));
            let sizes = [0, 1, 255, 256, SMALL, SMALL + 1, 300_000, 0, 5];
            let message: Message = sizes.iter().map(|&size| Bytes::from(vec![size as u8; size])).collect();
            let sent = async {
                writer.send(&message).await.unwrap();
                writer.command(&Bytes::from_static(b"\x04PING\0\x01abc")).await.unwrap();
                writer.send(&[Bytes::new()]).await.unwrap();
            };
            let got = async {
                let Some(Received::Message(first)) = reader.receive().await.unwrap() else { panic!() };
                let Some(Received::Command(ping)) = reader.receive().await.unwrap() else { panic!() };
                let Some(Received::Message(last)) = reader.receive().await.unwrap() else { panic!() };
                (first, ping, last)
            };
            let ((), (first, ping, last)) = tokio::join!(sent, got);
            assert_eq!(first, message);
            assert_eq!(pong(&ping).unwrap(), Bytes::from_static(b"\x04PONGabc"));
            assert_eq!(last, [Bytes::new()]);
        });
    }

    #[test]
    fn a_large_buffer_is_passed_on_byte_by_byte_as_it_came() {
        let mut bytes = BytesMut::new();
        let put = |bytes: &mut BytesMut, more: u8, body: &[u8]| {
            put_head(bytes, more, body.len());
            bytes.put_slice(body);
        };
        for frame in [&b"a"[..], b"b"] {
            put(&mut bytes, MORE, frame);
        }
        let start = bytes.len();
        put(&mut bytes, MORE, &vec![7; 3 * PIECE + LARGE as usize]);
        put(&mut bytes, MORE, b"");
        put(&mut bytes, MORE, &vec![8; 300]);
        put(&mut bytes, 0, b"");
        let end = bytes.len();
        put(&mut bytes, 0, &vec![9; LARGE as usize]);
        run(async {
            // A reader that gets 1,000 bytes at a time sees heads and bodies cut anywhere.
            let (mut far, near) = tokio::io::duplex(1000);
            let mut reader = Reader::new(near);
            reader.pass_large_on(|before| before.len() >= 2);
            let sent = async {
                far.write_all(&bytes).await.unwrap();
                drop(far);
            };
            let got = async {
                let Some(Received::Beginning(first)) = reader.receive().await.unwrap() else { panic!() };
                assert_eq!(beginning(&first), bytes[..start]);
                let mut pieces = Vec::new();
                loop {
                    let Some(Received::Piece { bytes, last }) = reader.receive().await.unwrap() else { panic!() };
                    pieces.extend_from_slice(&bytes);
                    if last {
                        break;
                    }
                }
                assert!(pieces == bytes[start..end]);
                let Some(Received::Message(small)) = reader.receive().await.unwrap() else { panic!() };
                assert_eq!(small[0].len(), LARGE as usize, "too early in its message to be passed on");
                assert!(reader.receive().await.unwrap().is_none());
            };
            tokio::join!(sent, got);
        });
    }

    #[test]
    fn a_frame_that_claims_to_be_endless_ends_with_the_connection() {
        let mut claim = vec![LONG];
        claim.extend(u64::MAX.to_be_bytes());
        claim.resize(100_000, 0);
        assert!(matches!(run(reader(&claim).receive()), Ok(None)));
    }

    #[test]
    fn unknown_flags_and_strange_greetings_are_errors() {
        assert!(matches!(run(reader(&[0x18, 1, 2]).receive()), Err(ZmtpError::Flags(0x18))));
        let mut curve = greeting();
        curve[12..17].copy_from_slice(b"CURVE");
        let own = introduction("ROUTER", b"");
        let hello = |bytes: &[u8]| run(handshake(bytes, tokio::io::sink(), &own)).map(|_| ()).unwrap_err();
        assert!(matches!(hello(&curve), ZmtpError::Mechanism(name) if name == "CURVE"));
        assert!(matches!(hello(b"GET / HTTP/1.1\r\n\r\n"), ZmtpError::Greeting));
        assert!(matches!(hello(b"\xFF"), ZmtpError::Io(_)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_crash_the_reader(bytes: Vec<u8>) {
            let mut reader = reader(&bytes);
            reader.pass_large_on(|_| true);
            run(async { while let Ok(Some(_)) = reader.receive().await {} });
            let body = Bytes::from(bytes);
            let _anything = (parse_ready(&[b"\x05READY", body.as_ref()].concat().into()).is_some(), pong(&body));
        }
    }
}
