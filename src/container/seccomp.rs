//! The system calls that the code of a bundle has no business with.
//!
//! A second wall behind the namespaces: everything is allowed but what would make or change mounts and namespaces, or
//! reach parts of Linux that are large, privileged and not separated by namespaces.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Refused with `EPERM`, whatever the arguments.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_open_by_handle_at,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Puts characters into a terminal's input; a console's selection.
const TERMINAL_REQUESTS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Families of sockets that a network namespace does not separate (the virtual machine's host), or that are large, seldom
/// used and have been a way out before.
const FAMILIES: [libc::c_int; 5] = [libc::AF_VSOCK, libc::AF_BLUETOOTH, libc::AF_RDS, libc::AF_TIPC, libc::AF_NFC];

/// Installs both filters for this thread and what it starts. Sets `no_new_privs`.
pub(super) fn install() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&no_clone3()?)?;
    seccompiler::apply_filter(&refused()?)
}

fn refused() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for &call in REFUSED {
        add(&mut rules, call, &[]);
    }
    let namespace = u64::from(libc::CLONE_NEWUSER as u32);
    let clone = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(namespace), namespace)?;
    add(&mut rules, libc::SYS_clone, &[SeccompRule::new(vec![clone])?]);
    let mut ioctl = Vec::new();
    for request in TERMINAL_REQUESTS {
        let same = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?;
        ioctl.push(SeccompRule::new(vec![same])?);
    }
    add(&mut rules, libc::SYS_ioctl, &ioctl);
    let mut sockets = Vec::new();
    for family in FAMILIES {
        let same =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(family.unsigned_abs()))?;
        sockets.push(SeccompRule::new(vec![same])?);
    }
    add(&mut rules, libc::SYS_socket, &sockets);
    add(&mut rules, libc::SYS_socketpair, &sockets);
    program(rules, libc::EPERM)
}

/// `clone3` has its flags behind a pointer, where no filter sees them: glibc uses `clone` when it is not there.
fn no_clone3() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    add(&mut rules, libc::SYS_clone3, &[]);
    program(rules, libc::ENOSYS)
}

fn add(rules: &mut BTreeMap<i64, Vec<SeccompRule>>, call: libc::c_long, conditions: &[SeccompRule]) {
    rules.insert(call, conditions.to_vec());
    // The same calls by their x32 names, which pass the check of the architecture.
    #[cfg(target_arch = "x86_64")]
    rules.insert(call | 0x4000_0000, conditions.to_vec());
}

fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let answer = SeccompAction::Errno(errno as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_fit_into_what_linux_accepts() {
        assert!(refused().unwrap().len() < 4096);
        assert!(no_clone3().unwrap().len() < 64);
    }
}
