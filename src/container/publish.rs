//! In a container that an engine made: an app that listens on `127.0.0.1` only is made to answer at the container's own
//! address too, where the engine's published ports lead.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    path::Path,
    thread,
};

use super::forward;

/// Docker's name server in networks that people make.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Where the app of this container could be reached from outside; empty in a network that is not the container's alone.
///
/// To be asked before the app starts. In the host's network (`--network host`) an app that chose `127.0.0.1` must stay
/// there: a network of our own has an end of a pair of devices, and nobody else listens in it.
pub fn addresses() -> Vec<Ipv4Addr> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if !has_own_device(Path::new("/sys/class/net")) || has_listeners(&text("/proc/net/tcp"), &text("/proc/net/tcp6")) {
        return Vec::new();
    }
    local_addresses(&text("/proc/net/fib_trie"))
}

/// Once the app answers at 127.0.0.1 and not at `addresses`, carries connections from there, in threads that live as
/// long as the process.
pub fn publish(addresses: Vec<Ipv4Addr>, port: u16) {
    thread::spawn(move || {
        let loopback = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        while TcpStream::connect(loopback).is_err() {
            forward::pause();
        }
        for address in addresses {
            let outside = SocketAddrV4::new(address, port);
            if TcpStream::connect(outside).is_ok() {
                continue;
            }
            // Somebody else took it meanwhile, and answers there.
            let Ok(listener) = TcpListener::bind(outside) else { continue };
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || {
                        if let Ok(app) = TcpStream::connect(loopback) {
                            forward::carry(&stream, &app);
                        }
                    });
                }
            });
        }
    });
}

/// Whether all devices but the loopback are ends of pairs (or slirp4netns's tap), as engines put them into a container. A
/// machine has a card of its own, or the bridge of an engine, beside them.
fn has_own_device(devices: &Path) -> bool {
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok();
    let devices = fs::read_dir(devices).into_iter().flatten().flatten().filter(|device| device.file_name() != "lo");
    let is_end = |device: fs::DirEntry| {
        let path = device.path();
        device.file_name() == "tap0" || number(&path.join("ifindex")) != number(&path.join("iflink"))
    };
    let ends: Vec<bool> = devices.map(is_end).collect();
    !ends.is_empty() && ends.into_iter().all(|is_end| is_end)
}

/// Whether anybody but Docker's name server listens, from `/proc/net/tcp` and `tcp6`.
fn has_listeners(four: &str, six: &str) -> bool {
    const LISTEN: &str = "0A";
    let listening = |line: &str| line.split_whitespace().nth(3) == Some(LISTEN);
    // As a number of this machine, whose architectures put the last byte first.
    let own = format!("{:08X}:", u32::from_le_bytes(NAME_SERVER.octets()));
    let foreign = |line: &&str| !line.split_whitespace().nth(1).is_some_and(|address| address.starts_with(&own));
    four.lines().filter(|line| listening(line)).any(|line| foreign(&line)) || six.lines().any(listening)
}

/// Addresses of this network's devices but `127.…`, from `/proc/net/fib_trie`.
fn local_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.filter(|address| !address.is_loopback() && !found.contains(address))
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_network_of_its_own_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let device = |name: &str, index: u32, link: u32| {
            let path = dir.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("ifindex"), format!("{index}\n")).unwrap();
            fs::write(path.join("iflink"), format!("{link}\n")).unwrap();
        };
        device("lo", 1, 1);
        device("eth0", 2, 2);
        assert!(!has_own_device(dir.path()), "a machine's own card");
        device("eth0", 2, 17);
        assert!(has_own_device(dir.path()), "an end of a pair");
        device("docker0", 3, 3);
        assert!(!has_own_device(dir.path()), "an engine's bridge, beside the other end");
        let head = "  sl  local_address rem_address   st tx_queue\n";
        let name_server = format!("{head}   0: 0B00007F:9A1B 00000000:0000 0A 0:0\n");
        let established = format!("{head}   0: 020011AC:1F90 010011AC:9C40 01 0:0\n");
        let other = format!("{head}   0: 00000000:0016 00000000:0000 0A 0:0\n");
        assert!(!has_listeners(&name_server, "") && !has_listeners(&established, ""));
        assert!(has_listeners(&other, "") && has_listeners("", &other));
    }

    #[test]
    fn the_addresses_of_the_devices_are_found() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            Local:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 172.17.0.0\n        /32 link BROADCAST\n\
            \x20    |-- 172.17.0.2\n        /32 host LOCAL\n     |-- 172.17.0.2\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(trie), [Ipv4Addr::new(172, 17, 0, 2)]);
    }
}
