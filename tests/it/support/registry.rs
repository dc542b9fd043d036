//! A real registry server of this test, and a proxy before it that breaks what it is told to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{TestEnv, skipped};

/// Debian's `docker-registry`, ended with the test.
pub(crate) struct Registry {
    server: Child,
    pub(crate) port: u16,
}

/// `ann` with the password `hush` (bcrypt).
const HTPASSWD: &str = "ann:$2b$04$caUum.UKjmuAdq.DuaSOReeuKoDUex8H9e4dzqddce0DGt7bQYKC2\n";

impl Registry {
    /// Starts one on a free port of loopback; `extra` goes into its configuration below `http:`.
    pub(crate) fn start(env: &TestEnv, with_password: bool, extra: &str) -> Option<Self> {
        if !PathBuf::from("/usr/bin/docker-registry").exists() {
            skipped("no docker-registry on this machine");
            return None;
        }
        let dir = env.path().join("registry");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("htpasswd"), HTPASSWD).unwrap();
        let auth = if with_password {
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", dir.join("htpasswd").display())
        } else {
            String::new()
        };
        let config = dir.join("config.yml");
        let storage = dir.join("storage");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{extra}{auth}",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut server = Command::new("/usr/bin/docker-registry")
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.split("listening on ").nth(1)?;
            rest.split(['"', ',', ' ']).next()?.rsplit(':').next()?.parse().ok()
        });
        // It must not stop because nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { server, port: port.expect("docker-registry listens") })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.kill().unwrap_or_default();
        self.server.wait().unwrap();
    }
}

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This answer, and `Retry-After: 0` where it is 429.
    Status(u16),
    /// The connection ends after so many bytes of the request's body.
    CutRequest(usize),
    /// The connection ends after so many bytes of the answer (its head counts too).
    CutAnswer(usize),
    /// The answer comes so many bytes at a time, with pauses.
    Slow(usize),
    /// One byte of the answer's body is another.
    Flip(usize),
}

/// Passes requests on to the registry, except that each planned fault strikes once.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    faults: Mutex<Vec<(String, Fault)>>,
    seen: Mutex<Vec<String>>,
    /// Answers the referrers API, which this registry does not have, from the index under the fallback tag.
    referrers: std::sync::atomic::AtomicBool,
    /// Asks for a token of its own, as registries with a token server do.
    token: Option<&'static str>,
}

impl Proxy {
    pub(crate) fn start(upstream: u16, faults: Vec<(&str, Fault)>, token: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = faults.into_iter().map(|(place, fault)| (place.to_owned(), fault)).collect();
        let shared = Arc::new(Shared {
            upstream,
            faults: Mutex::new(faults),
            seen: Mutex::default(),
            referrers: false.into(),
            token,
        });
        let inner = shared.clone();
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = inner.clone();
                std::thread::spawn(move || shared.serve(stream, port).unwrap_or_default());
            }
        });
        Self { port, shared }
    }

    /// First line and `Range` of every request so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// Plans another fault.
    pub(crate) fn plan(&self, place: &str, fault: Fault) {
        self.shared.faults.lock().unwrap().push((place.to_owned(), fault));
    }

    /// From now on the referrers API is there, and nothing else lists them.
    pub(crate) fn have_referrers(&self) {
        self.shared.referrers.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Faults that did not strike.
    pub(crate) fn left(&self) -> usize {
        self.shared.faults.lock().unwrap().len()
    }
}

impl Shared {
    /// One request of one connection.
    fn serve(&self, client: TcpStream, own_port: u16) -> std::io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut client = client;
        let mut head = String::new();
        let (mut length, mut range, mut authorization, mut first) =
            (0_u64, String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_lowercase();
            if first.is_empty() {
                line.trim().clone_into(&mut first);
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if lower.starts_with("range:") {
                range = format!(" {}", lower.trim());
            }
            if let Some(value) = line.strip_prefix("authorization: ").or_else(|| line.strip_prefix("Authorization: ")) {
                value.trim().clone_into(&mut authorization);
            }
            if lower.starts_with("connection:") {
                continue;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        self.seen.lock().unwrap().push(format!("{first}{range}"));
        if let Some(token) = self.token {
            if first.starts_with("GET /token") {
                // ann:hush
                let good = authorization == "Basic YW5uOmh1c2g=" && first.contains("scope=repository%3A");
                let body = if good { format!(r#"{{"token":"{token}"}}"#) } else { "{}".to_owned() };
                return answer(&mut client, if good { 200 } else { 401 }, "", &body);
            }
            if first.contains("/v2/") && authorization != format!("Bearer {token}") {
                let challenge = format!(
                    "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:{own_port}/token\",service=\"test\"\r\n"
                );
                return answer(&mut client, 401, &challenge, "{}");
            }
        }
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let found = faults.iter().position(|(place, _)| first.contains(place.as_str()));
            found.map(|at| faults.remove(at).1)
        };
        if let Some(Fault::Status(status)) = fault {
            let again = if status == 429 { "Retry-After: 0\r\n" } else { "" };
            return answer(&mut client, status, again, r#"{"errors":[{"code":"TEST","message":"planned"}]}"#);
        }
        if self.referrers.load(std::sync::atomic::Ordering::Relaxed) {
            if first.contains("/manifests/sha256-") {
                return answer(&mut client, 404, "", "{}");
            }
            if let Some((start, digest)) = first.split_once("/referrers/sha256:") {
                let digest = digest.split(['?', ' ']).next().unwrap_or_default();
                let (_, rest) = head.split_once("\r\n").unwrap_or_default();
                head = format!("{start}/manifests/sha256-{digest} HTTP/1.1\r\n{rest}");
            }
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.upstream))?;
        write!(server, "{head}Connection: close\r\n\r\n")?;
        let cut = if let Some(Fault::CutRequest(bytes)) = fault { bytes as u64 } else { u64::MAX };
        std::io::copy(&mut (&mut reader).take(length.min(cut)), &mut server)?;
        if cut < length {
            server.shutdown(Shutdown::Both)?;
            return client.shutdown(Shutdown::Both);
        }
        match fault {
            Some(Fault::CutAnswer(bytes)) => {
                std::io::copy(&mut (&mut server).take(bytes as u64), &mut client)?;
                client.shutdown(Shutdown::Both)
            }
            Some(Fault::Slow(bytes)) => {
                let mut buffer = vec![0; bytes];
                loop {
                    let count = server.read(&mut buffer)?;
                    if count == 0 {
                        return Ok(());
                    }
                    client.write_all(&buffer[..count])?;
                    std::thread::park_timeout(Duration::from_millis(5));
                }
            }
            Some(Fault::Flip(at)) => {
                let mut all = Vec::new();
                server.read_to_end(&mut all)?;
                let body = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                all[body + at] ^= 1;
                client.write_all(&all)
            }
            _ => std::io::copy(&mut server, &mut client).map(|_| ()),
        }
    }
}

fn answer(client: &mut TcpStream, status: u16, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} Planned\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )?;
    client.shutdown(Shutdown::Write)?;
    // What the client still sends would else become a reset that overtakes the answer.
    std::io::copy(&mut (&mut *client).take(64 << 20), &mut std::io::sink()).map(|_| ())
}
