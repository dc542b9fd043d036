//! What the tap tells the proxy, and the kernel-to-be tells the tap: small messages over a socket, one with the listener.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// One message.
#[derive(Debug)]
pub(super) enum Message {
    /// Process `pid` has the filter; here is its listener.
    Watched { pid: u32, no_new_privs: bool, listener: OwnedFd },
    /// Process `pid` has no filter, because of this error number (0: none was wanted).
    Unwatched { pid: u32, errno: i32 },
    /// It became the kernel.
    Running,
    /// It could not: error number.
    NotStarted { errno: i32 },
    /// The kernel ended.
    Ended { status: i32 },
}

/// Bytes of a message: a letter and two numbers.
const LENGTH: usize = 9;

/// A pair of sockets that keep messages apart and say when the other end is gone.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message.
pub(super) fn send(socket: &impl AsFd, message: &Message) -> io::Result<()> {
    let (letter, first, second) = match message {
        Message::Watched { pid, no_new_privs, .. } => (b'W', pid.cast_signed(), i32::from(*no_new_privs)),
        Message::Unwatched { pid, errno } => (b'U', pid.cast_signed(), *errno),
        Message::Running => (b'R', 0, 0),
        Message::NotStarted { errno } => (b'N', *errno, 0),
        Message::Ended { status } => (b'E', *status, 0),
    };
    let mut bytes = vec![letter];
    bytes.extend(first.to_le_bytes());
    bytes.extend(second.to_le_bytes());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors;
    if let Message::Watched { listener, .. } = message {
        descriptors = [listener.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for one message; `None` when the other end is closed.
pub(super) fn receive(socket: &impl AsFd) -> io::Result<Option<Message>> {
    let mut bytes = [0; LENGTH];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            result => break result?.bytes,
        }
    };
    let listener = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received == 0 {
        return Ok(None);
    }
    let [letter, a, b, c, d, e, f, g, h] = bytes;
    let (first, second) = (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]));
    let message = match (letter, listener) {
        (b'W', Some(listener)) => Message::Watched { pid: first.cast_unsigned(), no_new_privs: second != 0, listener },
        (b'U', _) => Message::Unwatched { pid: first.cast_unsigned(), errno: second },
        (b'R', _) => Message::Running,
        (b'N', _) => Message::NotStarted { errno: first },
        (b'E', _) => Message::Ended { status: first },
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is none of ours")),
    };
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_travels_and_an_end_is_told_from_a_message() {
        let (near, far) = pair().unwrap();
        let listener = rustix::event::eventfd(7, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        send(&near, &Message::Watched { pid: 42, no_new_privs: true, listener }).unwrap();
        send(&near, &Message::Ended { status: -1 }).unwrap();
        drop(near);
        let Some(Message::Watched { pid: 42, no_new_privs: true, listener }) = receive(&far).unwrap() else {
            panic!("no listener came");
        };
        let mut count = [0; 8];
        rustix::io::read(&listener, &mut count).unwrap();
        assert_eq!(u64::from_le_bytes(count), 7);
        assert!(matches!(receive(&far).unwrap(), Some(Message::Ended { status: -1 })));
        assert!(receive(&far).unwrap().is_none());
    }
}
