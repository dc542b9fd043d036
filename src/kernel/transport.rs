//! Listening and connecting, by TCP and by Unix sockets.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream},
    time::{Instant, sleep},
};

use crate::jupyter::connection::Endpoint;

/// How long a restarted kernel waits until the ports of its predecessor are free.
const IN_USE: Duration = Duration::from_secs(2);

pub(super) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// A bound socket of the front.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// The path is removed with it.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds; waits up to two seconds for an address that is in use.
    pub(super) async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        let give_up = Instant::now() + IN_USE;
        loop {
            match Self::bind_once(endpoint) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up => {
                    sleep(Duration::from_millis(20)).await;
                }
                done => return done,
            }
        }
    }

    fn bind_once(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                // The predecessor's connections may still be in TIME_WAIT after a restart.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                Ok(Self::Tcp(socket.listen(128)?))
            }
            Endpoint::Ipc(path) => {
                remove_stale(path)?;
                Ok(Self::Unix(UnixListener::bind(path)?, path.clone()))
            }
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(ReadHalf, WriteHalf)> {
        match self {
            Self::Tcp(listener) => tcp_halves(listener.accept().await?.0),
            Self::Unix(listener, _) => Ok(unix_halves(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone already: the directory belongs to the frontend.
            std::fs::remove_file(path).unwrap_or_default();
        }
    }
}

/// Removes a socket that nobody listens on, as libzmq does.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Connects once.
pub(super) async fn connect(endpoint: &Endpoint) -> io::Result<(ReadHalf, WriteHalf)> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            // Trying an unbound port of the ephemeral range can connect a socket to itself.
            if stream.local_addr()? == stream.peer_addr()? {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            tcp_halves(stream)
        }
        Endpoint::Ipc(path) => Ok(unix_halves(UnixStream::connect(path).await?)),
    }
}

fn tcp_halves(stream: TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    Ok((Box::new(read), Box::new(write)))
}

fn unix_halves(stream: UnixStream) -> (ReadHalf, WriteHalf) {
    let (read, write) = stream.into_split();
    (Box::new(read), Box::new(write))
}
