//! The BPF program: which calls wait for the supervisor. Everything else never leaves Linux's fast path.
//!
//! Linux works out once, when the filter is installed, which numbers are always allowed; so only the watched calls
//! ever run this program, and its length costs the others nothing.

use super::{
    IoUring,
    calls::{ABIS, Abi, Call},
    preload::layout::{AFTER_CALL, READS},
};

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// The low half; the high half is 4 bytes further.
const INSTRUCTION_POINTER: u32 = 8;
/// The low half of argument `index`; the high half is 4 bytes further (both architectures are little endian).
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

/// `SYS_CONNECT` of `socketcall(2)`.
const SOCKETCALL_CONNECT: u32 = 3;
/// The signals of interval timers: a handler of these without `SA_RESTART` can make a watched call fail.
pub(super) const TIMER_SIGNALS: [i32; 3] = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF];

const fn statement(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on `skip` instructions later unless the accumulator is `k`.
const fn unless_equal_skip(k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code: JUMP_EQUAL, jt: 0, jf: skip, k }
}

/// Goes on `skip` instructions later if the accumulator is `k`.
const fn if_equal_skip(k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code: JUMP_EQUAL, jt: skip, jf: 0, k }
}

/// The program for every interface of this architecture; `watch` is the action for a watched call.
///
/// A tracer cannot make a call fail by a signal, so it is not told of handlers and timers. `preloaded`: the kernel has
/// the object of [`preload`](super::preload).
pub(super) fn program(io_uring: IoUring, watch: u32, preloaded: bool) -> Vec<libc::sock_filter> {
    let mut program = vec![statement(LOAD, ARCH)];
    for (index, abi) in ABIS.iter().enumerate() {
        // The object is of the first interface, the native one.
        let section = section(abi, io_uring, watch, preloaded && index == 0);
        program.push(if_equal_skip(abi.arch, 1));
        program.push(statement(JUMP, section.len() as u32));
        program.extend(section);
    }
    program.push(statement(RETURN, ALLOW));
    program
}

/// The part for one interface; it always returns.
fn section(abi: &Abi, io_uring: IoUring, watch: u32, preloaded: bool) -> Vec<libc::sock_filter> {
    let mut section = vec![statement(LOAD, NUMBER)];
    if abi.ignored_bits != 0 {
        section.push(statement(AND, !abi.ignored_bits));
    }
    for (number, call) in abi.calls {
        let body = match call {
            Call::RtSigaction | Call::Setitimer | Call::TimerCreate if watch == libc::SECCOMP_RET_TRACE => continue,
            Call::RtSigaction => handler_of_a_timer(watch),
            Call::Socketcall => vec![
                statement(LOAD, argument(0)),
                unless_equal_skip(SOCKETCALL_CONNECT, 1),
                statement(RETURN, watch),
                statement(RETURN, ALLOW),
            ],
            Call::Openat if preloaded => unless_written_down(watch),
            Call::IoUringSetup if io_uring == IoUring::Refuse => vec![statement(RETURN, REFUSE)],
            _ => vec![statement(RETURN, watch)],
        };
        section.push(unless_equal_skip(*number, body.len() as u8));
        section.extend(body);
    }
    section.push(statement(RETURN, ALLOW));
    section
}

/// `rt_sigaction(signal, act, …)`: watched if `act` is given and `signal` is one of [`TIMER_SIGNALS`].
fn handler_of_a_timer(watch: u32) -> Vec<libc::sock_filter> {
    let mut body = vec![
        statement(LOAD, argument(1)),
        unless_equal_skip(0, 3),
        statement(LOAD, argument(1) + 4),
        unless_equal_skip(0, 1),
        statement(RETURN, ALLOW),
        statement(LOAD, argument(0)),
    ];
    let count = TIMER_SIGNALS.len();
    for (index, signal) in TIMER_SIGNALS.into_iter().enumerate() {
        body.push(if_equal_skip(signal as u32, (count - index) as u8));
    }
    body.push(statement(RETURN, ALLOW));
    body.push(statement(RETURN, watch));
    body
}

/// `openat(dir, path, flags, …)`: passes if the object makes it, which writes it down, and it can change nothing.
fn unless_written_down(watch: u32) -> Vec<libc::sock_filter> {
    vec![
        statement(LOAD, INSTRUCTION_POINTER),
        unless_equal_skip(AFTER_CALL as u32, 6),
        statement(LOAD, INSTRUCTION_POINTER + 4),
        unless_equal_skip((AFTER_CALL >> 32) as u32, 4),
        statement(LOAD, argument(2)),
        statement(AND, !READS),
        unless_equal_skip(0, 1),
        statement(RETURN, ALLOW),
        statement(RETURN, watch),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: u32 = libc::SECCOMP_RET_USER_NOTIF;

    fn run(program: &[libc::sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        run_at(program, arch, number, args, 0)
    }

    /// Runs a program as `seccomp(2)` describes it.
    fn run_at(program: &[libc::sock_filter], arch: u32, number: u32, args: [u64; 6], pointer: u64) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(pointer.to_le_bytes());
        for arg in args {
            data.extend(arg.to_le_bytes());
        }
        let (mut at, mut accumulator) = (0usize, 0u32);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => {
                    let from = step.k as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                AND => accumulator &= step.k,
                JUMP => at += step.k as usize,
                JUMP_EQUAL => at += usize::from(if accumulator == step.k { step.jt } else { step.jf }),
                RETURN => return step.k,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn every_listed_call_waits_and_its_neighbours_do_not() {
        let program = program(IoUring::Detect, WATCH, false);
        for abi in ABIS {
            for number in 0..600 {
                let found = run(&program, abi.arch, number, [0; 6]);
                let listed = abi.calls.iter().find(|(listed, _)| *listed == number).map(|(_, call)| *call);
                let expected = match listed {
                    None | Some(Call::RtSigaction | Call::Socketcall) => ALLOW,
                    Some(_) => WATCH,
                };
                assert_eq!(found, expected, "call {number} of {:#x}", abi.arch);
            }
        }
        assert_eq!(run(&program, 0xdead, 2, [0; 6]), ALLOW);
    }

    #[test]
    fn a_handler_waits_only_when_it_is_set_for_a_timer() {
        let program = program(IoUring::Detect, WATCH, false);
        let native = &ABIS[0];
        let number = native.calls.iter().find(|(_, call)| *call == Call::RtSigaction).unwrap().0;
        let ask = |signal: i32, act: u64| run(&program, native.arch, number, [signal as u64, act, 0, 8, 0, 0]);
        for signal in 1..65 {
            let expected = if TIMER_SIGNALS.contains(&signal) { WATCH } else { ALLOW };
            assert_eq!(ask(signal, 0x1000), expected, "signal {signal}");
            assert_eq!(ask(signal, 1 << 32), expected, "signal {signal}, an address whose low half is zero");
            assert_eq!(ask(signal, 0), ALLOW, "signal {signal} is only asked about");
        }
    }

    #[test]
    fn io_uring_is_refused_only_on_request() {
        let number = ABIS[0].calls.iter().find(|(_, call)| *call == Call::IoUringSetup).unwrap().0;
        assert_eq!(run(&program(IoUring::Refuse, WATCH, false), ABIS[0].arch, number, [0; 6]), REFUSE);
        assert_eq!(run(&program(IoUring::Detect, WATCH, false), ABIS[0].arch, number, [0; 6]), WATCH);
    }

    #[test]
    fn a_tracer_is_told_of_files_and_of_no_handlers() {
        let (program, native) = (program(IoUring::Detect, libc::SECCOMP_RET_TRACE, false), &ABIS[0]);
        for (number, call) in native.calls {
            let expected = match call {
                Call::RtSigaction | Call::Setitimer | Call::TimerCreate => ALLOW,
                _ => libc::SECCOMP_RET_TRACE,
            };
            assert_eq!(run(&program, native.arch, *number, [14, 1 << 32, 0, 8, 0, 0]), expected, "{call:?}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_the_kernel_writes_down_itself_passes_from_one_place_and_only_to_read() {
        let (program, native) = (program(IoUring::Detect, WATCH, true), &ABIS[0]);
        let open = |pointer, flags| {
            let number = native.calls.iter().find(|(_, call)| *call == Call::Openat).unwrap().0;
            run_at(&program, native.arch, number, [u64::MAX, 0x1000, flags, 0, 0, 0], pointer)
        };
        for flags in [libc::O_CLOEXEC, libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_NONBLOCK] {
            assert_eq!(open(AFTER_CALL, flags as u64), ALLOW);
            for pointer in [0, AFTER_CALL - 1, AFTER_CALL + 1, AFTER_CALL & 0xffff_ffff, AFTER_CALL ^ 1 << 40] {
                assert_eq!(open(pointer, flags as u64), WATCH, "{pointer:#x}");
            }
        }
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_PATH, libc::O_TMPFILE] {
            assert_eq!(open(AFTER_CALL, flags as u64), WATCH, "{flags:#o}");
        }
        for (number, call) in native.calls.iter().filter(|(_, call)| *call != Call::Openat) {
            let plain = run(&program, native.arch, *number, [0; 6]);
            assert_eq!(run_at(&program, native.arch, *number, [0; 6], AFTER_CALL), plain, "{call:?}");
        }
        for abi in &ABIS[1..] {
            for (number, call) in abi.calls.iter().filter(|(_, call)| *call == Call::Openat) {
                assert_eq!(run_at(&program, abi.arch, *number, [0; 6], AFTER_CALL), WATCH, "{call:?}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_second_64_bit_interface_is_no_way_around() {
        let program = program(IoUring::Detect, WATCH, false);
        assert_eq!(run(&program, ABIS[0].arch, super::super::calls::X32 + 257, [0; 6]), WATCH);
        assert_eq!(run(&program, ABIS[0].arch, super::super::calls::X32 + 520, [0; 6]), WATCH);
    }
}
