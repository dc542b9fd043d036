//! Names to addresses without the C library: a static program has no NSS (`nsswitch.conf` would load the host's
//! libraries into it). `/etc/hosts` first, then the servers of `/etc/resolv.conf` (RFC 1035, resolv.conf(5)).

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

use crate::files;

const A: u16 = 1;
const AAAA: u16 = 28;
/// Bytes of an answer over UDP at most: what RFC 1035 allows, and a little more than servers send.
const LONGEST: usize = 4096;

/// Reads its two files at each look-up, so that a laptop may change networks.
#[derive(Debug, Clone)]
pub(super) struct StubResolver {
    pub(super) hosts: PathBuf,
    pub(super) conf: PathBuf,
    /// The port that name servers listen on.
    pub(super) port: u16,
}

impl Default for StubResolver {
    fn default() -> Self {
        Self { hosts: PathBuf::from("/etc/hosts"), conf: PathBuf::from("/etc/resolv.conf"), port: 53 }
    }
}

impl Resolver for StubResolver {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Some(host) = uri.host() else { return Err(ureq::Error::HostNotFound) };
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let mut found = self.empty();
        // As many as the array holds.
        for address in self.look_up(host).map_err(ureq::Error::Io)?.into_iter().take(16) {
            found.push(SocketAddr::new(address, port));
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

/// What `resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Conf {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    dots: usize,
    timeout: Duration,
    attempts: usize,
}

impl StubResolver {
    /// The addresses of a name, IPv4 first; none when the name does not exist, an error when nobody could tell.
    pub(super) fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let known = in_hosts(&read(&self.hosts), host);
        if !known.is_empty() {
            return Ok(known);
        }
        if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let conf = parse_conf(&read(&self.conf));
        let mut last = Ok(Vec::new());
        for name in candidates(host, &conf) {
            match self.ask(&name, &conf) {
                Ok(found) if !found.is_empty() => return Ok(found),
                other => last = other,
            }
        }
        last
    }

    fn ask(&self, name: &str, conf: &Conf) -> io::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        let mut failed = None;
        for kind in [A, AAAA] {
            match self.ask_all(name, kind, conf) {
                Ok(addresses) => found.extend(addresses),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    fn ask_all(&self, name: &str, kind: u16, conf: &Conf) -> io::Result<Vec<IpAddr>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no name server is configured");
        for _ in 0..conf.attempts {
            for server in &conf.servers {
                let query = query(name, kind)?;
                match ask_one(SocketAddr::new(*server, self.port), &query, conf.timeout) {
                    Ok(answer) => match addresses(&answer, &query) {
                        Ok(found) => return Ok(found),
                        Err(error) => last = error,
                    },
                    Err(error) => last = error,
                }
            }
        }
        Err(last)
    }
}

fn read(path: &Path) -> String {
    // Neither file has to be there.
    files::read_to_string(path).unwrap_or_default()
}

fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

fn parse_conf(text: &str) -> Conf {
    let mut conf =
        Conf { servers: Vec::new(), search: Vec::new(), dots: 1, timeout: Duration::from_secs(5), attempts: 2 };
    for line in text.lines() {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address: Option<IpAddr> = words.next().and_then(|word| word.split('%').next()?.parse().ok());
                // The C library takes three.
                conf.servers.extend(address.filter(|_| conf.servers.len() < 3));
            }
            Some("search" | "domain") => conf.search = words.map(|word| word.trim_matches('.').to_owned()).collect(),
            Some("options") => {
                for word in words {
                    let number = |text: &str| text.parse::<u64>().ok();
                    match word.split_once(':') {
                        Some(("ndots", value)) => conf.dots = number(value).unwrap_or(1).min(15) as usize,
                        Some(("timeout", value)) => {
                            conf.timeout = Duration::from_secs(number(value).unwrap_or(5).clamp(1, 30));
                        }
                        Some(("attempts", value)) => conf.attempts = number(value).unwrap_or(2).clamp(1, 5) as usize,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if conf.servers.is_empty() {
        conf.servers.push(Ipv4Addr::LOCALHOST.into());
    }
    conf
}

/// The names to ask for, in order (resolv.conf(5), `ndots`).
fn candidates(host: &str, conf: &Conf) -> Vec<String> {
    if let Some(absolute) = host.strip_suffix('.') {
        return vec![absolute.to_owned()];
    }
    let longer = conf.search.iter().filter(|domain| !domain.is_empty()).map(|domain| format!("{host}.{domain}"));
    let own = std::iter::once(host.to_owned());
    if host.matches('.').count() >= conf.dots { own.chain(longer).collect() } else { longer.chain(own).collect() }
}

/// A question with a random number, so that a stranger cannot answer it unseen.
fn query(name: &str, kind: u16) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the host name is not well formed");
    let mut id = [0; 2];
    files::open(Path::new("/dev/urandom")).map_err(|error| error.source)?.read_exact(&mut id)?;
    let mut bytes = id.to_vec();
    // Recursion desired; one question.
    bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    if name.len() > 253 {
        return Err(wrong());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length)).ok_or_else(wrong)?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    Ok(bytes)
}

fn ask_one(server: SocketAddr, query: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(timeout))?;
    // Connected: only this server's packets are received.
    socket.connect(server)?;
    socket.send(query)?;
    let mut answer = vec![0; LONGEST];
    let mut strangers = 0;
    loop {
        let length = socket.recv(&mut answer)?;
        // Another number: the answer to an earlier question, or a forged one.
        if answer.get(..2) != query.get(..2) {
            strangers += 1;
            if strangers > 64 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the name server answers other questions"));
            }
            continue;
        }
        answer.truncate(length);
        break;
    }
    let truncated = answer.get(2).is_some_and(|flags| flags & 0b10 != 0);
    if !truncated {
        return Ok(answer);
    }
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// The addresses in an answer; none when the name does not exist.
fn addresses(answer: &[u8], query: &[u8]) -> io::Result<Vec<IpAddr>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the name server's answer is not well formed");
    let mut rest = Reader { bytes: answer, at: 0 };
    let id = rest.take(2).ok_or_else(wrong)?;
    let flags = rest.number().ok_or_else(wrong)?;
    if query.get(..2) != Some(id) || flags & 0x8000 == 0 {
        return Err(wrong());
    }
    match flags & 0xf {
        0 => {}
        3 => return Ok(Vec::new()),
        code => return Err(io::Error::other(format!("the name server answered with code {code}"))),
    }
    let questions = rest.number().ok_or_else(wrong)?;
    let answers = rest.number().ok_or_else(wrong)?;
    rest.take(4).ok_or_else(wrong)?;
    for _ in 0..questions {
        rest.skip_name().ok_or_else(wrong)?;
        rest.take(4).ok_or_else(wrong)?;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        rest.skip_name().ok_or_else(wrong)?;
        let kind = rest.number().ok_or_else(wrong)?;
        rest.take(6).ok_or_else(wrong)?;
        let length = rest.number().ok_or_else(wrong)?;
        let data = rest.take(usize::from(length)).ok_or_else(wrong)?;
        match kind {
            A => found.extend(<[u8; 4]>::try_from(data).ok().map(IpAddr::from)),
            AAAA => found.extend(<[u8; 16]>::try_from(data).ok().map(IpAddr::from)),
            // The names on the way (CNAME) are followed by the server.
            _ => {}
        }
    }
    Ok(found)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).and_then(|pair| pair.try_into().ok()).map(u16::from_be_bytes)
    }

    /// A name ends at an empty label or at a pointer, which is never followed.
    fn skip_name(&mut self) -> Option<()> {
        loop {
            let &[length] = self.take(1)? else { return None };
            match length {
                0 => return Some(()),
                1..64 => self.take(usize::from(length)).map(|_| ())?,
                192.. => return self.take(1).map(|_| ()),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `query` with these records.
    fn answer(query: &[u8], code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = query.to_vec();
        bytes[2] = 0x81;
        bytes[3] = 0x80 | code;
        bytes[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (kind, data) in records {
            bytes.extend_from_slice(&[0xc0, 12]);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
    }

    #[test]
    fn a_name_server_is_asked_and_its_answer_read() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let resolver = StubResolver { hosts: dir.path().join("hosts"), conf: dir.path().join("resolv.conf"), port };
        std::fs::write(&resolver.conf, "nameserver 127.0.0.1\nsearch lab.example\noptions timeout:2\n").unwrap();
        std::fs::write(&resolver.hosts, "10.0.0.9 here.example # a comment\n").unwrap();
        let serve = std::thread::spawn(move || {
            let mut names = Vec::new();
            let mut buffer = [0; 512];
            // A and AAAA of two names.
            for _ in 0..4 {
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let query = &buffer[..length];
                let name = String::from_utf8_lossy(&query[12..length - 5]).into_owned();
                let kind = u16::from_be_bytes([query[length - 4], query[length - 3]]);
                let reply = match (name.contains("lab"), kind) {
                    (false, _) => answer(query, 3, &[]),
                    (true, A) => answer(query, 0, &[(5, b"\x01x\x00"), (A, &[10, 1, 2, 3])]),
                    (true, _) => answer(query, 0, &[]),
                };
                // A forged answer comes first.
                server.send_to(&[0; 20], from).unwrap();
                server.send_to(&reply, from).unwrap();
                names.push(name);
            }
            names
        });
        assert_eq!(resolver.look_up("registry.x").unwrap(), [IpAddr::from([10, 1, 2, 3])]);
        assert_eq!(serve.join().unwrap().len(), 4);
        assert_eq!(resolver.look_up("HERE.example").unwrap(), [IpAddr::from([10, 0, 0, 9])]);
        assert_eq!(resolver.look_up("[::1]").unwrap(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert_eq!(resolver.look_up("localhost").unwrap().len(), 2);
    }

    #[test]
    fn short_names_are_searched_first_and_dotted_ones_as_they_are() {
        let conf = parse_conf("search a.example b.example\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n");
        assert_eq!(conf.servers.len(), 2);
        assert_eq!(candidates("reg", &conf), ["reg.a.example", "reg.b.example", "reg"]);
        assert_eq!(candidates("reg.x", &conf).first().map(String::as_str), Some("reg.x"));
        assert_eq!(candidates("reg.", &conf), ["reg"]);
    }

    #[test]
    fn no_answer_makes_the_reader_panic() {
        let query = query("a.example", A).unwrap();
        let whole = answer(&query, 0, &[(A, &[1, 2, 3, 4]), (AAAA, &[0; 16])]);
        for length in 0..whole.len() {
            drop(addresses(&whole[..length], &query));
        }
        for at in 0..whole.len() {
            for value in [0, 63, 64, 192, 255] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                drop(addresses(&bytes, &query));
            }
        }
    }
}
