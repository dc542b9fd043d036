//! A forward proxy of this test: the only way to a registry whose name nobody resolves.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// Takes `CONNECT host:port` and requests for whole addresses, and leads all of them to one port of loopback.
pub(crate) struct Forward {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Forward {
    /// `credentials`: what `Proxy-Authorization` must say, if anything.
    pub(crate) fn start(upstream: u16, credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = seen.clone();
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let all = all.clone();
                std::thread::spawn(move || serve(stream, upstream, credentials, &all).unwrap_or_default());
            }
        });
        Self { port, seen }
    }

    /// The first lines of all requests.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: u16,
    credentials: Option<&str>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line);
    }
    let first = head[0].trim().to_owned();
    seen.lock().unwrap().push(first.clone());
    let given = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    if credentials.is_some() && given.as_deref() != credentials {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    let mut words = first.split(' ');
    let (method, target, version) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == Some("CONNECT") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        // `http://host:port/path` becomes `/path`.
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        write!(server, "{} /{path} {version}\r\n", method.unwrap_or_default())?;
        for line in head.iter().skip(1).filter(|line| !line.to_lowercase().starts_with("proxy-")) {
            server.write_all(line.as_bytes())?;
        }
        server.write_all(b"\r\n")?;
    }
    let (mut up, mut down) = (server.try_clone()?, client.try_clone()?);
    let there = std::thread::spawn(move || {
        std::io::copy(&mut reader, &mut up).unwrap_or_default();
        up.shutdown(Shutdown::Write).unwrap_or_default();
    });
    std::io::copy(&mut server, &mut down).unwrap_or_default();
    client.shutdown(Shutdown::Both).unwrap_or_default();
    there.join().unwrap();
    Ok(())
}
