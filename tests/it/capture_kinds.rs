//! Programs of all kinds under the capture: other machines' code, debuggers, file systems that do not answer.

use std::{
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
};

use nbpack::{
    capture::{Mode, Options},
    event::Event,
};

use crate::{
    capture::{COMPLETE, SH, eventually, options, run_by, start},
    support::{Served, TestEnv, skipped},
};

/// A 32-bit program, by hand, for compilers that make such are rarely there: opens `marker`, then becomes `cat second`.
fn elf_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEAD: u32 = 84;
    let code = |path: u32, cat: u32, argv: u32| {
        let mut code = Vec::new();
        let mut load = |register: u8, value: u32| {
            code.push(0xb8 + register);
            code.extend(value.to_le_bytes());
        };
        // open(path, O_RDONLY)
        for (register, value) in [(0, 5), (3, path), (1, 0), (2, 0)] {
            load(register, value);
        }
        code.extend([0xcd, 0x80]);
        let mut load = |register: u8, value: u32| {
            code.push(0xb8 + register);
            code.extend(value.to_le_bytes());
        };
        // execve(cat, argv, NULL)
        for (register, value) in [(0, 11), (3, cat), (1, argv), (2, 0)] {
            load(register, value);
        }
        code.extend([0xcd, 0x80]);
        code
    };
    let after = BASE + HEAD + u32::try_from(code(0, 0, 0).len()).unwrap();
    let strings = b"marker\0/bin/cat\0second\0\0";
    let argv = after + u32::try_from(strings.len()).unwrap();
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    for word in [BASE + HEAD, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52_u16, 32, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let size = argv - BASE + 12;
    for word in [1, 0, BASE, BASE, size, size, 7, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code(after, after + 7, argv));
    elf.extend(strings);
    for word in [after + 7, after + 16, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_program_is_seen_with_what_it_opens_and_becomes() {
    for mode in COMPLETE {
        let env = TestEnv::new();
        let program = env.work().join("program");
        std::fs::write(&program, elf_of_32_bits()).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["marker", "second"] {
            std::fs::write(env.work().join(name), "x").unwrap();
        }
        if Command::new(&program).current_dir(env.work()).stdout(Stdio::null()).status().is_err() {
            return skipped("this Linux runs no 32-bit programs");
        }
        let (status, run) = run_by(mode, &[SH, "-c", "./program >out"], &env.work());
        assert_eq!(status, 0, "{mode:?}");
        let paths = run.seen.paths();
        for name in ["program", "marker", "second"] {
            assert!(paths.iter().any(|path| path.ends_with(name.as_bytes())), "{mode:?}: {name}");
        }
        let argv = [b"cat".to_vec(), b"second".to_vec()];
        let became = run.seen.events().into_iter().any(|event| match event {
            // The first word is the path, as the program says it.
            Event::Process(process) => process.argv.last() == argv.last() && process.exe.ends_with(b"/cat"),
            _ => false,
        });
        assert!(became, "{mode:?}: the arguments of a 32-bit exec were not read");
    }
}

#[test]
fn who_attaches_to_a_watched_program_sees_it_and_hides_nothing() {
    if !Path::new("/usr/bin/strace").exists() {
        return skipped("no strace");
    }
    for mode in COMPLETE {
        let env = TestEnv::new();
        for name in ["after", "below"] {
            std::fs::write(env.work().join(name), "x").unwrap();
        }
        let code =
            "touch ready; until [ -e go ]; do :; done; read word <after; strace -f -o log_below cat below; exit 0";
        let run = start(&[SH, "-c", code], &env.work(), Options { mode, ..options() });
        eventually("the program began", || env.work().join("ready").exists());
        let pid = run.kernel.pid();
        let mut strace = Command::new("/usr/bin/strace")
            .args(["-p", &pid.to_string(), "-o"])
            .arg(env.work().join("log"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if mode != Mode::Trace {
            let status = format!("/proc/{pid}/status");
            eventually("it is attached", || {
                let status = std::fs::read_to_string(&status).unwrap();
                status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
            });
        }
        std::fs::write(env.work().join("go"), "").unwrap();
        assert_eq!(run.kernel.wait().unwrap(), 0, "{mode:?}");
        let log = |name: &str| std::fs::read_to_string(env.work().join(name)).unwrap_or_default();
        let attached = strace.wait().unwrap().success();
        // docs/NOT-CAPTURED.md says that nobody attaches where a tracer is.
        assert_eq!(attached, mode != Mode::Trace, "{mode:?}");
        if attached {
            assert!(log("log").contains("\"after\""), "the one who attached saw nothing");
        }
        let paths = run.seen.paths();
        let seen = |name: &str| paths.contains(env.work().join(name).as_os_str().as_bytes());
        assert!(seen("after"), "{mode:?}");
        // One who is watched may attach to its own children only where nobody traces.
        assert_eq!(seen("below") && log("log_below").contains("\"below\""), mode != Mode::Trace, "{mode:?}");
    }
}

#[test]
fn a_file_system_that_does_not_answer_stops_only_who_asks_it() {
    for mode in COMPLETE {
        let env = TestEnv::new();
        let Some(served) = Served::mount(&env) else { return };
        for name in ["near", "kept"] {
            std::fs::write(env.work().join(name), "old").unwrap();
        }
        let code = "touch ready; until [ -e go ]; do :; done; \
                    cat front/data >first & waiting=$!; \
                    until [ -e end ]; do cat near >out; done; echo new >kept; touch done; wait $waiting; cat first";
        let run = start(&[SH, "-c", code], &env.work(), Options { mode, ..options() });
        eventually("the program began", || env.work().join("ready").exists());
        served.stop();
        std::fs::write(env.work().join("go"), "").unwrap();
        let seen = |name: &str| run.seen.paths().contains(env.work().join(name).as_os_str().as_bytes());
        let asked = served.front().join("data");
        eventually("somebody waits for it", || run.seen.paths().contains(asked.as_os_str().as_bytes()));
        let near = run.seen.files().iter().filter(|file| file.path.ends_with(b"/near")).count();
        eventually("others are still seen", || {
            run.seen.files().iter().filter(|file| file.path.ends_with(b"/near")).count() > near + 3
        });
        std::fs::write(env.work().join("end"), "").unwrap();
        eventually("the program goes on", || env.work().join("done").exists());
        let kept = run.snapshots.0.lock().unwrap().clone();
        assert!(kept.contains(&(env.work().join("kept"), b"old".to_vec())), "{mode:?}");
        eventually("it is said", || !run.seen.gaps("unanswered").is_empty());
        assert!(run.seen.gaps("unanswered")[0].detail.contains("front/data"));
        assert!(run.seen.gaps("preserve").is_empty(), "{mode:?}: a change was not waited for");
        served.go_on();
        assert_eq!(run.kernel.wait().unwrap(), 0, "{mode:?}");
        assert!(seen("near") && seen("first"));
    }
}
