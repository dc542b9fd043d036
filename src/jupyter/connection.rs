//! Connection files (jupyter_client documentation, "Connection files").

use std::{
    fmt,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::wire::SigningKey;
use crate::files::{self, FileError};

/// The longest path a Unix socket can have (`sockaddr_un` without the closing zero).
pub const MAX_SOCKET_PATH: usize = 107;

/// One of the five sockets of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Socket {
    /// Requests and replies.
    Shell,
    /// What everybody hears.
    Iopub,
    /// Questions to a frontend.
    Stdin,
    /// Requests that overtake.
    Control,
    /// Echo.
    Heartbeat,
}

impl Socket {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Shell, Self::Iopub, Self::Stdin, Self::Control, Self::Heartbeat];

    /// The key of its port in a connection file.
    pub fn port_key(self) -> &'static str {
        match self {
            Self::Shell => "shell_port",
            Self::Iopub => "iopub_port",
            Self::Stdin => "stdin_port",
            Self::Control => "control_port",
            Self::Heartbeat => "hb_port",
        }
    }
}

/// How the sockets are reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// `ip` is an address.
    Tcp,
    /// `ip` is the beginning of a path.
    Ipc,
}

/// Where one socket is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Ipc(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

/// A connection file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not a JSON object.
    #[error("`{}` is not a connection file", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// A key is missing or has another type.
    #[error("connection file `{}`: `{key}` is not {expected}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A value that we cannot serve.
    #[error("connection file `{}`: {key} `{found}` is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
    },
    /// The server wants encrypted transport.
    #[error(
        "connection file `{}` asks for encrypted transport (`{key}`), which this kernel does not speak; \
         set transport_encryption to \"disabled\" or \"auto\" in the Jupyter server, or choose the wrapped kernel",
        path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// The key that says so.
        key: String,
    },
    /// A Unix socket path is longer than Linux allows.
    #[error("socket path `{}` has {} bytes, at most {MAX_SOCKET_PATH} are possible", path.display(), path.as_os_str().len())]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
}

/// What a connection file says.
#[derive(Clone, PartialEq, Debug)]
pub struct Connection {
    /// TCP or Unix sockets.
    pub transport: Transport,
    /// An IP address, `localhost`, `*`; or the beginning of the sockets' paths.
    pub ip: String,
    /// Port (or path suffix) of shell.
    pub shell_port: u16,
    /// Port (or path suffix) of iopub.
    pub iopub_port: u16,
    /// Port (or path suffix) of stdin.
    pub stdin_port: u16,
    /// Port (or path suffix) of control.
    pub control_port: u16,
    /// Port (or path suffix) of the heartbeat.
    pub hb_port: u16,
    /// What messages are signed with; empty means unsigned.
    pub key: SigningKey,
    /// `hmac-sha256`, as written.
    pub signature_scheme: String,
    /// The kernelspec's name, where the manager says it.
    pub kernel_name: Option<String>,
    /// All other keys (`jupyter_session` …), as they were.
    pub extra: Map<String, Value>,
}

/// Reads a connection file of at most 1 MiB.
pub fn read(path: &Path) -> Result<Connection, ConnectionError> {
    let bytes = files::read_bounded(path, 1 << 20)?;
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Connection, ConnectionError> {
    let mut object: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|source| ConnectionError::NotJson { path: path.to_owned(), source })?;
    if let Some((key, _)) = object.iter().find(|(key, value)| key.starts_with("curve_") && !is_empty(value)) {
        return Err(ConnectionError::Encrypted { path: path.to_owned(), key: key.clone() });
    }
    object.retain(|key, _| !key.starts_with("curve_"));
    let wrong = |key, expected| ConnectionError::Key { path: path.to_owned(), key, expected };
    let unsupported = |key, found: &str| ConnectionError::Unsupported {
        path: path.to_owned(),
        key,
        found: found.chars().take(100).collect(),
    };
    let mut text = |key: &'static str, default: Option<&str>| match object.remove(key) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => default.map(str::to_owned).ok_or_else(|| wrong(key, "a text")),
        Some(_) => Err(wrong(key, "a text")),
    };
    let transport = match text("transport", Some("tcp"))?.as_str() {
        "tcp" => Transport::Tcp,
        "ipc" => Transport::Ipc,
        other => return Err(unsupported("transport", other)),
    };
    let ip = text("ip", if transport == Transport::Tcp { Some("127.0.0.1") } else { None })?;
    let secret = text("key", Some(""))?;
    let signature_scheme = text("signature_scheme", Some("hmac-sha256"))?;
    let kernel_name = text("kernel_name", Some(""))?;
    let key = SigningKey::new(&secret, &signature_scheme)
        .ok_or_else(|| unsupported("signature_scheme", &signature_scheme))?;
    let mut port = |socket: Socket| {
        let key = socket.port_key();
        let number = object.remove(key).and_then(|value| value.as_u64());
        number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|&number| number > 0)
            .ok_or_else(|| wrong(key, "a port number"))
    };
    Ok(Connection {
        transport,
        ip,
        shell_port: port(Socket::Shell)?,
        iopub_port: port(Socket::Iopub)?,
        stdin_port: port(Socket::Stdin)?,
        control_port: port(Socket::Control)?,
        hb_port: port(Socket::Heartbeat)?,
        key,
        signature_scheme,
        kernel_name: Some(kernel_name).filter(|name| !name.is_empty()),
        extra: object,
    })
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

impl Connection {
    /// Unix sockets `dir/stem-1` to `dir/stem-5`.
    pub fn ipc(dir: &Path, stem: &str, key: SigningKey, signature_scheme: &str) -> Self {
        Self {
            transport: Transport::Ipc,
            ip: dir.join(stem).to_string_lossy().into_owned(),
            shell_port: 1,
            iopub_port: 2,
            stdin_port: 3,
            control_port: 4,
            hb_port: 5,
            key,
            signature_scheme: signature_scheme.to_owned(),
            kernel_name: None,
            extra: Map::new(),
        }
    }

    /// The port (or path suffix) of one socket.
    pub fn port(&self, socket: Socket) -> u16 {
        match socket {
            Socket::Shell => self.shell_port,
            Socket::Iopub => self.iopub_port,
            Socket::Stdin => self.stdin_port,
            Socket::Control => self.control_port,
            Socket::Heartbeat => self.hb_port,
        }
    }

    /// Where one socket is. Names are not looked up, except `localhost` and `*`: `None` for another.
    pub fn endpoint(&self, socket: Socket) -> Option<Endpoint> {
        let port = self.port(socket);
        match self.transport {
            Transport::Ipc => Some(Endpoint::Ipc(PathBuf::from(format!("{}-{port}", self.ip)))),
            Transport::Tcp => {
                let ip = match self.ip.as_str() {
                    "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    "*" | "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    text => text.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
                };
                Some(Endpoint::Tcp(SocketAddr::new(ip, port)))
            }
        }
    }

    /// Refuses Unix sockets whose paths are longer than Linux allows.
    pub fn check_paths(&self) -> Result<(), ConnectionError> {
        for socket in Socket::ALL {
            if let Some(Endpoint::Ipc(path)) = self.endpoint(socket)
                && path.as_os_str().len() > MAX_SOCKET_PATH
            {
                return Err(ConnectionError::PathTooLong { path });
            }
        }
        Ok(())
    }

    /// Writes it to a file that must not exist yet, mode 0600.
    pub fn write(&self, path: &Path) -> Result<(), ConnectionError> {
        self.check_paths()?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(FileError::new("create", path))?;
        file.write_all(self.to_json().as_bytes()).map_err(FileError::new("write", path))?;
        Ok(())
    }

    fn to_json(&self) -> String {
        let mut object = self.extra.clone();
        let transport = if self.transport == Transport::Tcp { "tcp" } else { "ipc" };
        object.insert("transport".to_owned(), transport.into());
        object.insert("ip".to_owned(), self.ip.as_str().into());
        for socket in Socket::ALL {
            object.insert(socket.port_key().to_owned(), self.port(socket).into());
        }
        object.insert("key".to_owned(), self.key.reveal().into());
        object.insert("signature_scheme".to_owned(), self.signature_scheme.as_str().into());
        if let Some(name) = &self.kernel_name {
            object.insert("kernel_name".to_owned(), name.as_str().into());
        }
        Value::Object(object).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"transport":"tcp","ip":"127.0.0.1","shell_port":1001,"iopub_port":1002,"stdin_port":1003,
        "control_port":1004,"hb_port":1005,"key":"secret","signature_scheme":"hmac-sha256","kernel_name":"x",
        "jupyter_session":"/a/b.ipynb"}"#;

    fn parse_text(text: &str) -> Result<Connection, ConnectionError> {
        parse(text.as_bytes(), Path::new("c.json"))
    }

    #[test]
    fn what_is_written_reads_back_and_only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        let connection = parse_text(GOOD).unwrap();
        connection.write(&path).unwrap();
        assert_eq!(read(&path).unwrap(), connection);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(connection.write(&path).is_err(), "an existing file is not written into");
    }

    #[test]
    fn endpoints_are_what_jupyter_client_makes_of_them() {
        let mut connection = parse_text(GOOD).unwrap();
        assert_eq!(connection.endpoint(Socket::Shell).unwrap().to_string(), "tcp://127.0.0.1:1001");
        connection.ip = "*".to_owned();
        assert_eq!(connection.endpoint(Socket::Heartbeat).unwrap().to_string(), "tcp://0.0.0.0:1005");
        connection.ip = "some.host".to_owned();
        assert_eq!(connection.endpoint(Socket::Shell), None);
        let ipc = Connection::ipc(Path::new("/run/a b"), "k", connection.key, "hmac-sha256");
        assert_eq!(ipc.endpoint(Socket::Control).unwrap().to_string(), "ipc:///run/a b/k-4");
    }

    #[test]
    fn encryption_is_refused_by_name_and_empty_keys_are_not_encryption() {
        let with = |extra: &str| parse_text(&GOOD.replace("\"kernel_name\"", &format!("{extra},\"kernel_name\"")));
        let error = with(r#""curve_publickey":"abc""#).unwrap_err();
        assert!(error.to_string().contains("encrypted transport (`curve_publickey`)"), "{error}");
        assert!(!with(r#""curve_publickey":null"#).unwrap().extra.contains_key("curve_publickey"));
    }

    #[test]
    fn broken_files_are_named() {
        for (text, part) in [
            ("", "is not a connection file"),
            ("[]", "is not a connection file"),
            ("{}", "`shell_port` is not a port number"),
            (&GOOD.replace("1003", "70000"), "`stdin_port` is not a port number"),
            (&GOOD.replace("1003", "\"a\""), "`stdin_port` is not a port number"),
            (&GOOD.replace("\"tcp\"", "\"pgm\""), "transport `pgm` is not supported"),
            (&GOOD.replace("sha256", "md5"), "signature_scheme `hmac-md5` is not supported"),
            (&GOOD.replace("\"secret\"", "5"), "`key` is not a text"),
        ] {
            let error = parse_text(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("c.json"), "{error}");
        }
    }

    #[test]
    fn the_key_is_not_in_debug_and_an_empty_key_works() {
        assert!(!format!("{:?}", parse_text(GOOD).unwrap()).contains("secret"));
        let unsigned = parse_text(&GOOD.replace("secret", "")).unwrap();
        assert_eq!(unsigned.key.sign([b"", b"", b"", b""]), "");
    }

    #[test]
    fn a_socket_path_that_is_too_long_is_said_before_a_kernel_fails_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::new("", "").unwrap();
        let connection = Connection::ipc(&dir.path().join("x".repeat(100)), "k", key, "hmac-sha256");
        assert!(matches!(connection.write(&dir.path().join("c")), Err(ConnectionError::PathTooLong { .. })));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, ..Default::default() })]

        /// Errors are fine, panics are bugs; and what is taken is written and read back as it was.
        #[test]
        fn no_bytes_in_a_connection_file_make_the_reader_panic(
            changes in proptest::collection::vec((proptest::prelude::any::<usize>(), proptest::prelude::any::<u8>()), 0..5),
            cut in proptest::option::of(0_usize..300),
        ) {
            let mut bytes = GOOD.as_bytes().to_vec();
            for (at, value) in changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            if let Ok(connection) = parse(&bytes, Path::new("c.json")) {
                let again = parse(connection.to_json().as_bytes(), Path::new("c.json")).unwrap();
                proptest::prop_assert_eq!(&again, &connection);
                drop(Socket::ALL.map(|socket| connection.endpoint(socket)));
            }
        }
    }
}
