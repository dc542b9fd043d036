//! What the machine is, as far as it can change a result: read from files, nothing is run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Value, json};

use crate::files;

/// Facts by name: `cpu.model`, `cpu.flags`, `cpu.count`, `memory.bytes`, `os.release`, `os.kernel`, `limits`,
/// `timezone`, `gpu`, `python`. What cannot be found out is left out.
///
/// `prefix` is the kernel's environment (the parent of the directory of its executable).
pub fn collect(prefix: Option<&Path>) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(key.to_owned(), value);
        }
    };
    let cpu = read("/proc/cpuinfo").unwrap_or_default();
    put("cpu.model", field(&cpu, "model name").map(Value::from));
    // ARM says `Features`.
    put("cpu.flags", field(&cpu, "flags").or_else(|| field(&cpu, "Features")).map(Value::from));
    put("cpu.count", std::thread::available_parallelism().ok().map(|n| json!(n.get())));
    put("memory.bytes", read("/proc/meminfo").and_then(|text| memory(&text)).map(Value::from));
    put("os.release", read("/etc/os-release").map(|text| json!(assignments(&text))));
    let uname = rustix::system::uname();
    put("os.kernel", uname.release().to_str().ok().map(Value::from));
    put("os.machine", uname.machine().to_str().ok().map(Value::from));
    put("limits", read("/proc/self/limits").map(|text| limits(&text)));
    put("timezone", timezone().map(Value::from));
    put("gpu", gpus());
    put("python", prefix.and_then(python));
    facts
}

fn read(path: &str) -> Option<String> {
    let bytes = files::read_bounded(Path::new(path), 4 << 20).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first `name : value` line of /proc/cpuinfo.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn memory(text: &str) -> Option<u64> {
    let kib: u64 = field(text, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// `NAME="value"` lines.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().trim_matches(['"', '\'']).to_owned())).collect()
}

/// The soft limits of /proc/self/limits: name → value.
fn limits(text: &str) -> Value {
    let rows = text.lines().skip(1).filter_map(|line| {
        let (name, rest) = (line.get(..26)?, line.get(26..)?);
        Some((name.trim().to_owned(), rest.split_whitespace().next()?.to_owned()))
    });
    json!(rows.collect::<BTreeMap<String, String>>())
}

fn timezone() -> Option<String> {
    let link = std::fs::read_link("/etc/localtime").ok();
    let name = link.and_then(|link| link.to_str()?.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned()));
    name.or_else(|| read("/etc/timezone").map(|text| text.trim().to_owned())).filter(|name| !name.is_empty())
}

/// Names of graphics processors, as the driver says them.
fn gpus() -> Option<Value> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?.flatten() {
        let text = files::read_bounded(&entry.path().join("information"), 64 << 10).ok()?;
        names.extend(field(&String::from_utf8_lossy(&text), "Model"));
    }
    let version = read("/proc/driver/nvidia/version").and_then(|text| text.lines().next().map(str::to_owned));
    (!names.is_empty()).then(|| json!({"names": names, "driver": version}))
}

/// The interpreter's version: `pyvenv.cfg` says it exactly, a library directory in two numbers.
fn python(prefix: &Path) -> Option<Value> {
    let config = files::read_bounded(&prefix.join("pyvenv.cfg"), 64 << 10).unwrap_or_default();
    let config = String::from_utf8_lossy(&config).into_owned();
    let said = config.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        matches!(key.trim(), "version" | "version_info").then(|| value.trim().to_owned())
    });
    let lib = || {
        let names = std::fs::read_dir(prefix.join("lib")).ok()?.flatten();
        names
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("python3.").map(|rest| format!("3.{rest}")))
            .max()
    };
    said.or_else(lib).map(|version| json!({"version": version, "prefix": prefix}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_linux_are_read() {
        assert_eq!(memory("MemTotal:       16384 kB\n"), Some(16_777_216));
        assert_eq!(field("processor : 0\nflags\t\t: sse avx2\n", "flags").as_deref(), Some("sse avx2"));
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 4096                 files     \n";
        assert_eq!(limits(text), json!({"Max open files": "1024"}));
        assert_eq!(assignments("ID=debian\nNAME=\"Debian\"\n")["NAME"], "Debian");
    }

    #[test]
    fn this_machine_says_what_it_is() {
        let facts = collect(None);
        assert!(facts.contains_key("os.kernel") && facts.contains_key("cpu.count"), "{facts:?}");
    }
}
