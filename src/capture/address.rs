//! Socket addresses as `connect(2)` is given them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::files;

/// A socket address in words; `None` for the address that only dissolves a connection.
pub(super) fn address(bytes: &[u8]) -> Option<String> {
    let (family, rest) = bytes.split_first_chunk()?;
    let family = u16::from_le_bytes(*family);
    let port = || rest.first_chunk().map(|port| u16::from_be_bytes(*port));
    match i32::from(family) {
        libc::AF_UNSPEC => None,
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*rest.get(2..)?.first_chunk::<4>()?);
            Some(format!("tcp:{}", SocketAddr::from((ip, port()?))))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*rest.get(6..)?.first_chunk::<16>()?);
            Some(format!("tcp:{}", SocketAddr::from((ip, port()?))))
        }
        libc::AF_UNIX => {
            let (mark, name) = match rest.split_first() {
                Some((0, name)) => ("@", name),
                _ => ("", rest),
            };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(format!("unix:{mark}{}", files::display_bytes(name)))
        }
        _ => Some(family.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_linux_writes_them() {
        assert_eq!(address(&[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0]).unwrap(), "tcp:127.0.0.1:8080");
        let mut six = vec![10, 0, 0, 80, 0, 0, 0, 0];
        six.extend(Ipv6Addr::LOCALHOST.octets());
        assert_eq!(address(&six).unwrap(), "tcp:[::1]:80");
        assert_eq!(address(b"\x01\x00/run/x.sock\0junk").unwrap(), "unix:/run/x.sock");
        assert_eq!(address(b"\x01\x00\0name").unwrap(), "unix:@name");
        assert_eq!(address(&[16, 0, 0, 0]).unwrap(), "16");
        assert_eq!(address(&[0, 0, 0, 0]), None);
        assert_eq!(address(&[2, 0, 0x1f]), None);
        assert_eq!(address(&[2]), None);
    }
}
