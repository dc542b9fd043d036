//! This machine beside the recorded one: what is not the same, and what can be made the same.

use std::{collections::BTreeMap, path::Path};

use crate::{bundle::config::RunConfig, files};

/// The processor features that change numeric results or that libraries are built for.
const NUMERIC: [&str; 12] = [
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512cd",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
];

/// What decides about numbers here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Machine {
    /// Processor features.
    pub flags: Vec<String>,
    /// Processors that a program may use.
    pub processors: u64,
    /// The release of Linux.
    pub linux: String,
    /// Graphics processors, as the driver names them.
    pub gpus: Vec<String>,
}

impl Machine {
    /// As this machine is now.
    pub fn here() -> Self {
        let cpuinfo = files::read_bounded(Path::new("/proc/cpuinfo"), 16 << 20).unwrap_or_default();
        let cpuinfo = String::from_utf8_lossy(&cpuinfo).into_owned();
        let line = cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
        let flags = line.and_then(|line| Some(words(line.split_once(':')?.1))).unwrap_or_default();
        let mut gpus = Vec::new();
        for entry in std::fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten() {
            let text = files::read_bounded(&entry.path().join("information"), 64 << 10).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let model = text.lines().find_map(|line| line.strip_prefix("Model:"));
            gpus.extend(model.map(|name| name.trim().to_owned()));
        }
        gpus.sort();
        gpus.dedup();
        Self {
            flags,
            processors: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
            linux: rustix::system::uname().release().to_string_lossy().into_owned(),
            gpus,
        }
    }

    /// As the record has it. What it does not say is empty or 0.
    pub fn recorded(run: &RunConfig) -> Self {
        let text = |name: &str| run.machine.get(name).and_then(|fact| fact.as_str()).unwrap_or_default();
        let names = run.machine.get("gpu").and_then(|gpu| gpu.get("names")?.as_array().cloned());
        let mut gpus: Vec<String> =
            names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        gpus.sort();
        Self {
            flags: words(text("cpu.flags")),
            processors: run.machine.get("cpu.count").and_then(serde_json::Value::as_u64).unwrap_or_default(),
            linux: text("os.kernel").to_owned(),
            gpus,
        }
    }

    fn has(&self, feature: &str) -> bool {
        self.flags.iter().any(|flag| flag == feature)
    }

    /// Numeric features that `other` lacks.
    fn beyond(&self, other: &Self) -> Vec<&'static str> {
        NUMERIC.into_iter().filter(|feature| self.has(feature) && !other.has(feature)).collect()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What of the recorded machine this one cannot give, a line each.
pub fn differences(recorded: &Machine, here: &Machine) -> Vec<String> {
    let mut lines = Vec::new();
    if recorded.flags.is_empty() {
        return lines;
    }
    let missing = recorded.beyond(here);
    if here.flags.is_empty() {
        lines.push("what this processor has cannot be read here (/proc/cpuinfo)".to_owned());
    } else if !missing.is_empty() {
        lines.push(format!("this processor lacks what the recording's had: {}", missing.join(" ")));
    }
    if recorded.linux != here.linux && !recorded.linux.is_empty() {
        lines.push(format!("this is Linux {}; the recording was made on {}", here.linux, recorded.linux));
    }
    if recorded.gpus != here.gpus {
        let named = |gpus: &[String]| if gpus.is_empty() { "none".to_owned() } else { gpus.join(", ") };
        lines.push(format!(
            "graphics processors here: {}; in the recording: {}",
            named(&here.gpus),
            named(&recorded.gpus)
        ));
    }
    lines
}

/// Variables that make libraries compute as on the recorded machine, where this one is larger or newer.
///
/// Nothing where the machines agree, or where the recording's processor had something that this one lacks: then it
/// cannot be the same, and [`differences`] says so.
pub fn pins(recorded: &Machine, here: &Machine) -> BTreeMap<&'static str, String> {
    let mut pins = BTreeMap::new();
    if recorded.processors != 0 && recorded.processors != here.processors {
        // Sums are split by the number of threads, and the last bits depend on it.
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"] {
            pins.insert(name, recorded.processors.to_string());
        }
    }
    let more = here.beyond(recorded);
    if recorded.flags.is_empty() || more.is_empty() || !recorded.beyond(here).is_empty() {
        return pins;
    }
    // OpenBLAS and MKL choose their kernels by the widest vectors.
    if more.contains(&"avx512f") && recorded.has("avx2") && recorded.has("fma") {
        pins.insert("OPENBLAS_CORETYPE", "Haswell".to_owned());
        pins.insert("MKL_ENABLE_INSTRUCTIONS", "AVX2".to_owned());
    } else if more.contains(&"avx2") && recorded.has("avx") {
        pins.insert("OPENBLAS_CORETYPE", "Sandybridge".to_owned());
        pins.insert("MKL_ENABLE_INSTRUCTIONS", "AVX".to_owned());
    }
    // NumPy's names are the flags' in capitals, without underscores after `AVX512`.
    let names: Vec<String> = more
        .iter()
        .filter(|feature| feature.starts_with("avx") || **feature == "fma" || **feature == "f16c")
        .filter(|feature| !feature.starts_with("avx512_"))
        .map(|feature| if *feature == "fma" { "FMA3".to_owned() } else { feature.to_uppercase() })
        .collect();
    if !names.is_empty() {
        pins.insert("NPY_DISABLE_CPU_FEATURES", names.join(" "));
    }
    pins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(flags: &str, processors: u64) -> Machine {
        Machine { flags: words(flags), processors, linux: "6.1".to_owned(), gpus: Vec::new() }
    }

    #[test]
    fn the_same_machine_needs_nothing() {
        let one = machine("sse4_2 avx avx2 fma", 2);
        assert!(pins(&one, &one).is_empty());
        assert!(differences(&one, &one).is_empty());
    }

    #[test]
    fn a_wider_processor_computes_as_the_narrower_one_did() {
        let recorded = machine("sse4_2 avx avx2 fma f16c", 2);
        let here = machine("sse4_2 avx avx2 fma f16c avx512f avx512cd avx512_vnni", 64);
        let pins = pins(&recorded, &here);
        assert_eq!(pins["OPENBLAS_CORETYPE"], "Haswell");
        assert_eq!(pins["NPY_DISABLE_CPU_FEATURES"], "AVX512F AVX512CD");
        assert_eq!(pins["OMP_NUM_THREADS"], "2");
        assert!(differences(&recorded, &here).is_empty());
    }

    #[test]
    fn what_a_processor_lacks_is_said_and_nothing_is_chosen_for_it() {
        let recorded = machine("sse4_2 avx avx2 fma avx512f", 2);
        let here = Machine { gpus: vec!["X".to_owned()], linux: "5.4".to_owned(), ..machine("sse4_2 avx", 2) };
        assert!(pins(&recorded, &here).is_empty());
        let said = differences(&recorded, &here).join("\n");
        assert!(said.contains("lacks what the recording's had: avx2 fma avx512f"), "{said}");
        assert!(said.contains("Linux 5.4; the recording was made on 6.1"), "{said}");
        assert!(said.contains("graphics processors here: X; in the recording: none"), "{said}");
    }
}
