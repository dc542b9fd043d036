//! Lets a browser on this machine reach a server in a container that has no network: bytes are carried between a TCP
//! port of 127.0.0.1 and a Unix socket in a directory that both sides see.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// How long a connection waits for a server that is still starting.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to reach it.
const BETWEEN: i64 = 50_000_000;

/// A port of 127.0.0.1 on this machine, taken.
#[derive(Debug)]
pub struct Forwarder {
    listener: TcpListener,
    port: u16,
}

impl Forwarder {
    /// Takes `port`, or any free one for 0.
    pub fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Carries every connection to the Unix socket at `socket`, in threads that live as long as the process.
    pub fn serve(self, socket: PathBuf) {
        thread::spawn(move || {
            for tcp in self.listener.incoming().flatten() {
                let socket = socket.clone();
                thread::spawn(move || {
                    if let Some(unix) = patiently(|| UnixStream::connect(&socket)) {
                        carry(&tcp, &unix);
                    }
                });
            }
        });
    }
}

/// The other end, inside the container: carries every connection on the Unix socket to a port of its 127.0.0.1.
#[derive(Debug)]
pub struct Relay {
    listener: UnixListener,
    port: u16,
}

impl Relay {
    /// Listens on a new socket at `socket`.
    pub fn bind(socket: &std::path::Path, port: u16) -> io::Result<Self> {
        Ok(Self { listener: UnixListener::bind(socket)?, port })
    }

    /// Carries connections, in threads that live as long as the process.
    pub fn serve(self) {
        thread::spawn(move || {
            for unix in self.listener.incoming().flatten() {
                let port = self.port;
                thread::spawn(move || {
                    if let Some(tcp) = patiently(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port))) {
                        carry(&tcp, &unix);
                    }
                });
            }
        });
    }
}

fn patiently<S>(connect: impl Fn() -> io::Result<S>) -> Option<S> {
    let started = Instant::now();
    loop {
        match connect() {
            Ok(stream) => return Some(stream),
            Err(_) if started.elapsed() < PATIENCE => pause(),
            Err(_) => return None,
        }
    }
}

/// Before something is tried again.
pub(super) fn pause() {
    let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: BETWEEN };
    rustix::event::poll(&mut [], Some(&pause)).map(drop).unwrap_or_default();
}

/// A connection that can be closed in one direction.
pub(super) trait Connection: Sync {
    /// No more bytes will come.
    fn end(&self);
}

impl Connection for TcpStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).unwrap_or_default();
    }
}

impl Connection for UnixStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).unwrap_or_default();
    }
}

/// Both directions, each to its own end: a half-closed connection still carries the other half.
pub(super) fn carry<A: Connection, B: Connection>(one: &A, other: &B)
where
    for<'a> &'a A: Read + Write,
    for<'a> &'a B: Read + Write,
{
    thread::scope(|scope| {
        scope.spawn(move || copy(one, other));
        copy(other, one);
    });
}

fn copy<A, B: Connection>(from: &A, to: &B)
where
    for<'a> &'a A: Read,
    for<'a> &'a B: Write,
{
    // A connection that breaks is seen by both of its ends.
    io::copy(&mut &*from, &mut &*to).map(drop).unwrap_or_default();
    to.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_through_both_ends_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let socket = dir.path().join("s");
        let outside = Forwarder::bind(0).unwrap();
        let address = (Ipv4Addr::LOCALHOST, outside.port());
        outside.serve(socket.clone());
        Relay::bind(&socket, port).unwrap().serve();
        let answer = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            write!(stream, "you said {asked}").unwrap();
        });
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "you said hello");
        answer.join().unwrap();
    }
}
