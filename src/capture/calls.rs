//! The system calls that are watched: their numbers on each interface of this architecture, and what each means.

/// A watched call, by the shape of its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Open,
    Creat,
    Openat,
    Openat2,
    Execve,
    Execveat,
    Rename,
    Renameat,
    Renameat2,
    Unlink,
    Unlinkat,
    Rmdir,
    Truncate,
    Link,
    Linkat,
    Symlink,
    Symlinkat,
    Connect,
    /// i386's multiplexer; only `connect` is notified.
    #[cfg_attr(target_arch = "aarch64", expect(dead_code, reason = "only x86-64 runs programs of i386"))]
    Socketcall,
    IoUringSetup,
    /// Only for the signals of timers, and only when a handler is set.
    RtSigaction,
    Setitimer,
    TimerCreate,
}

/// One system call interface (`AUDIT_ARCH_*`) and its numbers.
#[derive(Debug)]
pub(super) struct Abi {
    /// The value of `seccomp_data.arch`.
    pub(super) arch: u32,
    /// Bits to clear in a call's number: x32 marks its calls with one.
    pub(super) ignored_bits: u32,
    /// Bytes of an address in the caller's memory.
    pub(super) pointer: usize,
    /// Number and meaning.
    pub(super) calls: &'static [(u32, Call)],
}

/// The bit that x32 sets in its numbers.
#[cfg(target_arch = "x86_64")]
pub(super) const X32: u32 = 0x4000_0000;

/// What 32-bit ARM, i386 and 64-bit programs can reach on this machine, the native one first.
#[cfg(target_arch = "x86_64")]
pub(super) const ABIS: &[Abi] = &[
    Abi {
        arch: 0xC000_003E,
        ignored_bits: X32,
        pointer: 8,
        calls: &[
            (257, Call::Openat),
            (2, Call::Open),
            (437, Call::Openat2),
            (85, Call::Creat),
            (59, Call::Execve),
            (322, Call::Execveat),
            (82, Call::Rename),
            (264, Call::Renameat),
            (316, Call::Renameat2),
            (87, Call::Unlink),
            (263, Call::Unlinkat),
            (84, Call::Rmdir),
            (76, Call::Truncate),
            (86, Call::Link),
            (265, Call::Linkat),
            (88, Call::Symlink),
            (266, Call::Symlinkat),
            (42, Call::Connect),
            (425, Call::IoUringSetup),
            (13, Call::RtSigaction),
            (38, Call::Setitimer),
            (222, Call::TimerCreate),
            // Of x32 only; no 64-bit call has these numbers.
            (520, Call::Execve),
            (545, Call::Execveat),
        ],
    },
    Abi {
        arch: 0x4000_0003,
        ignored_bits: 0,
        pointer: 4,
        calls: &[
            (295, Call::Openat),
            (5, Call::Open),
            (437, Call::Openat2),
            (8, Call::Creat),
            (11, Call::Execve),
            (358, Call::Execveat),
            (38, Call::Rename),
            (302, Call::Renameat),
            (353, Call::Renameat2),
            (10, Call::Unlink),
            (301, Call::Unlinkat),
            (40, Call::Rmdir),
            (92, Call::Truncate),
            (193, Call::Truncate),
            (9, Call::Link),
            (303, Call::Linkat),
            (83, Call::Symlink),
            (304, Call::Symlinkat),
            (362, Call::Connect),
            (102, Call::Socketcall),
            (425, Call::IoUringSetup),
        ],
    },
];

/// What 32-bit ARM and 64-bit programs can reach on this machine, the native one first.
#[cfg(target_arch = "aarch64")]
pub(super) const ABIS: &[Abi] = &[
    Abi {
        arch: 0xC000_00B7,
        ignored_bits: 0,
        pointer: 8,
        calls: &[
            (56, Call::Openat),
            (437, Call::Openat2),
            (221, Call::Execve),
            (281, Call::Execveat),
            (38, Call::Renameat),
            (276, Call::Renameat2),
            (35, Call::Unlinkat),
            (45, Call::Truncate),
            (37, Call::Linkat),
            (36, Call::Symlinkat),
            (203, Call::Connect),
            (425, Call::IoUringSetup),
            (134, Call::RtSigaction),
            (103, Call::Setitimer),
            (107, Call::TimerCreate),
        ],
    },
    Abi {
        arch: 0x4000_0028,
        ignored_bits: 0,
        pointer: 4,
        calls: &[
            (322, Call::Openat),
            (5, Call::Open),
            (437, Call::Openat2),
            (8, Call::Creat),
            (11, Call::Execve),
            (387, Call::Execveat),
            (38, Call::Rename),
            (329, Call::Renameat),
            (382, Call::Renameat2),
            (10, Call::Unlink),
            (328, Call::Unlinkat),
            (40, Call::Rmdir),
            (92, Call::Truncate),
            (193, Call::Truncate),
            (9, Call::Link),
            (330, Call::Linkat),
            (83, Call::Symlink),
            (331, Call::Symlinkat),
            (283, Call::Connect),
            (425, Call::IoUringSetup),
        ],
    },
];

/// The meaning of a call, and the size of an address in its caller; `None` for one that the filter does not notify.
pub(super) fn meaning(arch: u32, number: u32) -> Option<(Call, usize)> {
    let abi = ABIS.iter().find(|abi| abi.arch == arch)?;
    let plain = number & !abi.ignored_bits;
    let (_, call) = abi.calls.iter().find(|(number, _)| *number == plain)?;
    Some((*call, if number & abi.ignored_bits != 0 { 4 } else { abi.pointer }))
}
