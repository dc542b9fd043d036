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

use super::Way;

/// One message.
#[derive(Debug)]
pub(super) enum Message {
    /// The kernel-to-be, and a descriptor that stays its own when the number gets another owner.
    Forked { pid: u32, pidfd: OwnedFd },
    /// It has the filter; here is its listener.
    Watched { no_new_privs: bool, listener: OwnedFd },
    /// One way to watch it does not work here.
    Failed { way: Way, errno: i32 },
    /// It asks to be traced before it installs a filter that would make its calls fail without a tracer.
    WantsTracer,
    /// The answer to that: it is traced from now on, or not (error number).
    Tracer { errno: i32 },
    /// It has the filter and a tracer.
    Traced { no_new_privs: bool },
    /// Python code in it will say what it opens.
    Audited,
    /// Nothing watches it.
    Unwatched,
    /// It became the kernel.
    Running,
    /// It could not: error number.
    NotStarted { errno: i32 },
    /// The kernel ended.
    Ended { status: i32 },
}

/// Bytes of a message: a letter and a number.
const LENGTH: usize = 5;

/// A pair of sockets that keep messages apart and say when the other end is gone.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message.
pub(super) fn send(socket: &impl AsFd, message: &Message) -> io::Result<()> {
    let (letter, number, descriptor) = match message {
        Message::Forked { pid, pidfd } => (b'F', pid.cast_signed(), Some(pidfd)),
        Message::Watched { no_new_privs, listener } => (b'W', i32::from(*no_new_privs), Some(listener)),
        Message::Failed { way, errno } => (b'X', *errno & 0xffff | way.number() << 16, None),
        Message::WantsTracer => (b'T', 0, None),
        Message::Tracer { errno } => (b'Y', *errno, None),
        Message::Traced { no_new_privs } => (b't', i32::from(*no_new_privs), None),
        Message::Audited => (b'A', 0, None),
        Message::Unwatched => (b'U', 0, None),
        Message::Running => (b'R', 0, None),
        Message::NotStarted { errno } => (b'N', *errno, None),
        Message::Ended { status } => (b'E', *status, None),
    };
    let mut bytes = vec![letter];
    bytes.extend(number.to_le_bytes());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors;
    if let Some(descriptor) = descriptor {
        descriptors = [descriptor.as_fd()];
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
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received == 0 {
        return Ok(None);
    }
    let [letter, number @ ..] = bytes;
    let number = i32::from_le_bytes(number);
    let message = match (letter, descriptor) {
        (b'F', Some(pidfd)) => Message::Forked { pid: number.cast_unsigned(), pidfd },
        (b'W', Some(listener)) => Message::Watched { no_new_privs: number != 0, listener },
        (b'X', _) => Message::Failed { way: Way::from_number(number >> 16), errno: number & 0xffff },
        (b'T', _) => Message::WantsTracer,
        (b'Y', _) => Message::Tracer { errno: number },
        (b't', _) => Message::Traced { no_new_privs: number != 0 },
        (b'A', _) => Message::Audited,
        (b'U', _) => Message::Unwatched,
        (b'R', _) => Message::Running,
        (b'N', _) => Message::NotStarted { errno: number },
        (b'E', _) => Message::Ended { status: number },
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
        send(&near, &Message::Watched { no_new_privs: true, listener }).unwrap();
        send(&near, &Message::Ended { status: -1 }).unwrap();
        drop(near);
        let Some(Message::Watched { no_new_privs: true, listener }) = receive(&far).unwrap() else {
            panic!("no listener came");
        };
        let mut count = [0; 8];
        rustix::io::read(&listener, &mut count).unwrap();
        assert_eq!(u64::from_le_bytes(count), 7);
        assert!(matches!(receive(&far).unwrap(), Some(Message::Ended { status: -1 })));
        assert!(receive(&far).unwrap().is_none());
    }
}
