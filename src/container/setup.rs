//! Builds the root from inside the new namespaces, and gives up every right.
//!
//! Runs in process 1 of the container, before anything of the image does. Until `pivot_root` only paths of this
//! machine are used; after it, paths of the image, which then cannot lead anywhere else.

use std::{
    fs, io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
        mount_remount, move_mount, open_tree, unmount,
    },
    process::{chdir, chroot, fchdir, pivot_root},
    thread::{CapabilitySet, CapabilitySets},
};

use super::{Failed, Step, merge, movable, seccomp, spec::Spec, sys};

/// How the root is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RootKind {
    /// The layers under an overlay.
    Overlay,
    /// A copy of all of them, merged, in the run's directory (made by the outer process).
    Copy,
}

/// Where the merged copy lies in the run's directory.
pub(super) const COPY: &str = "copy";

/// Devices of this machine that are shown.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links that programs expect in `/dev`.
const DEVICE_LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// Parts of `/proc` that change the machine: root of this machine may write them although it is nobody inside.
const PROC_READ_ONLY: [&str; 6] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi"];
/// Parts of `/proc` that tell about the machine's memory, keys and timers.
const PROC_HIDDEN: [&str; 5] = ["kcore", "keys", "timer_list", "sched_debug", "latency_stats"];

/// Parts of `/sys` that programs size themselves by: processors (`lscpu`, loky), memory nodes, huge pages. They are shown
/// read-only, as this machine has them; the rest of `/sys` is nobody's business.
pub(super) const SYS_SHOWN: [&str; 3] =
    ["/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage"];

/// What a program that was root when it was recorded keeps, over its own files in the user namespace only.
const ROOT_KEEPS: [CapabilitySet; 6] = [
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FOWNER,
    CapabilitySet::SETUID,
    CapabilitySet::SETGID,
    CapabilitySet::FSETID,
];

/// Builds the root of `spec` and makes it this process's root. Needs its own user and mount namespaces, and
/// its own pid namespace when `own_processes`. `note` is told what is not as it should be.
pub(super) fn enter_namespaces(
    spec: &Spec,
    root_kind: RootKind,
    own_processes: bool,
    note: &mut dyn FnMut(&str),
) -> Result<(), Failed> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at(Step::Mount, "make the mounts private"))?;
    let root = mount_root(spec, root_kind, note)?;
    let resolver = if spec.network { fs::read("/etc/resolv.conf").ok() } else { None };
    let mut binds = Vec::new();
    for bind in &spec.binds {
        let tree = detached(&bind.host)?;
        // Before anything of the image is looked at: what is not to be written must not be reached by another way either.
        protect(bind, &tree)?;
        binds.push((bind, tree));
    }
    let devices: Vec<_> =
        DEVICES.iter().filter_map(|name| Some((*name, clone_tree(&Path::new("/dev").join(name)).ok()?))).collect();
    let machine: Vec<_> =
        SYS_SHOWN.iter().filter_map(|path| Some((Path::new(*path), clone_tree(Path::new(path)).ok()?))).collect();
    let processes = if own_processes { None } else { Some(detached(Path::new("/proc"))?) };

    let outside = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(at(Step::Root, "open the old root"))?;
    chdir(&root).map_err(at(Step::Root, "enter the new root"))?;
    pivot_root(".", ".").map_err(at(Step::Root, "change the root"))?;
    // From here on `/…` is a path of the image; the old root is only reachable through `outside`. It goes before a path that
    // the bundle names is followed, for a link of the image may lead through `/proc/self/fd`. Linux wants it to be there
    // until `/proc` is mounted.
    mount_proc(processes, spec)?;
    mount_dev(&devices, spec.machine)?;
    for (path, tree) in &machine {
        show_read_only(tree, path)?;
    }
    fchdir(&outside).map_err(at(Step::Root, "return to the old root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(at(Step::Root, "detach the old root"))?;
    drop(outside);
    chdir("/").map_err(at(Step::Root, "enter the new root"))?;
    for (prefix, canonical) in &spec.exact_roots {
        make_exact(prefix, canonical)?;
    }
    if root_kind == RootKind::Overlay {
        for dir in spec.movable.iter().filter(|dir| dir.is_absolute()) {
            if let Err(error) = movable::make_movable(dir) {
                note(&format!("`{}` cannot be renamed inside: {error}.", dir.display()));
            }
        }
    }
    for (bind, tree) in binds {
        attach_bind(bind, &tree)?;
    }
    make_usual_files(resolver.as_deref())?;
    rustix::system::sethostname(spec.hostname.as_bytes()).map_err(at(Step::System, "set the host name"))?;
    if !spec.network {
        bring_up_loopback()?;
    }
    Ok(())
}

/// Makes the merged copy this process's root by `chroot(2)`, for a caller who is root where no namespaces are allowed.
pub(super) fn enter_chroot(spec: &Spec, note: &mut dyn FnMut(&str)) -> Result<(), Failed> {
    let root = spec.run_dir.join(COPY);
    if spec.network
        && let Ok(resolver) = fs::read("/etc/resolv.conf")
    {
        chroot_file(&root, &resolver)?;
    }
    for bind in &spec.binds {
        hand_over(&root, bind)?;
    }
    chdir(&root).map_err(at(Step::Root, "enter the new root"))?;
    chroot(".").map_err(at(Step::Root, "change the root"))?;
    chdir("/").map_err(at(Step::Root, "enter the new root"))?;
    make_usual_files(None)?;
    make_dir(Path::new("/dev"), 0o755)?;
    for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        let made = rustix::fs::mknodat(
            CWD,
            Path::new("/dev").join(name),
            rustix::fs::FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            rustix::fs::makedev(1, minor),
        );
        if made.is_err_and(|error| error != rustix::io::Errno::EXIST) {
            note(&format!("/dev/{name} could not be made; programs that need it will fail."));
        }
    }
    Ok(())
}

/// Moves the run's own directory into the root and leaves a link where it was: nothing can be mounted here.
fn hand_over(root: &Path, bind: &super::spec::Bind) -> Result<(), Failed> {
    let what = || format!("move `{}` into the root", bind.host.display());
    let name = bind.target.file_name().unwrap_or_default();
    let parent = open_below(root, bind.target.parent().unwrap_or(Path::new("/"))).ok_or_else(|| Failed {
        step: Step::Root,
        what: what(),
        errno: libc::ENOTDIR,
    })?;
    rustix::fs::renameat_with(CWD, &bind.host, &parent, name, rustix::fs::RenameFlags::NOREPLACE)
        .map_err(at(Step::Root, what()))?;
    let inside = root.join(bind.target.strip_prefix("/").unwrap_or(&bind.target));
    symlink(inside, &bind.host).map_err(Failed::at(Step::Root, what()))
}

/// `/etc/resolv.conf` in a root that was not entered yet: `etc` must be a directory, and what lies there is replaced.
fn chroot_file(root: &Path, resolver: &[u8]) -> Result<(), Failed> {
    let etc = root.join("etc");
    if fs::symlink_metadata(&etc).is_ok_and(|metadata| metadata.is_dir()) {
        replace_file(&etc.join("resolv.conf"), resolver)?;
    }
    Ok(())
}

fn at(step: Step, what: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Failed {
    let what = what.into();
    move |error| Failed { step, what, errno: error.raw_os_error() }
}

/// Mounts the layers at a place in the run's directory; gives that place.
fn mount_root(spec: &Spec, kind: RootKind, note: &mut dyn FnMut(&str)) -> Result<PathBuf, Failed> {
    let root = spec.run_dir.join("root");
    let stage = spec.run_dir.join("stage");
    for dir in [&root, &stage] {
        make_dir(dir, 0o700)?;
    }
    let safe = MountFlags::NOSUID | MountFlags::NODEV;
    // The first mount of all: where user namespaces are made but not trusted, this one is refused.
    mount("tmpfs", &stage, "tmpfs", safe, c"mode=0700").map_err(at(Step::Mount, "mount a tmpfs"))?;
    if kind == RootKind::Copy {
        let copy = spec.run_dir.join(COPY);
        rustix::mount::mount_bind_recursive(&copy, &root).map_err(at(Step::Bind, "mount the copied root"))?;
        return Ok(root);
    }
    if let (true, Some(machine)) = (spec.machine, spec.layers.first()) {
        rustix::mount::mount_bind_recursive(machine, &root).map_err(at(Step::Bind, "mount the root"))?;
        return Ok(root);
    }
    // Short relative names: up to 500 layers fit into the page that Linux takes, whatever the store is called.
    let mut lower = Vec::new();
    let stage_link = |target: &Path, name: &str| {
        symlink(target, stage.join(name)).map_err(Failed::at(Step::Overlay, "name the layers"))
    };
    if spec.layers.is_empty() {
        make_dir(&stage.join("0"), 0o755)?;
        lower.push("0".to_owned());
    }
    for (number, layer) in spec.layers.iter().rev().enumerate() {
        if !layer.is_dir() {
            let what = format!("find layer `{}`", layer.display());
            return Err(Failed { step: Step::Overlay, what, errno: libc::ENOENT });
        }
        stage_link(layer, &number.to_string())?;
        lower.push(number.to_string());
    }
    for (inside, name) in [("upper", "u"), ("work", "w")] {
        let dir = spec.run_dir.join(inside);
        make_dir(&dir, 0o755)?;
        stage_link(&dir, name)?;
        make_dir(&stage.join(inside), 0o755)?;
    }
    chdir(&stage).map_err(at(Step::Overlay, "enter the staging directory"))?;
    let options = |upper: &str, work: &str, volatile: &str| {
        let text = format!("userxattr,{volatile}lowerdir={},upperdir={upper},workdir={work}", lower.join(":"));
        std::ffi::CString::new(text).unwrap_or_default()
    };
    let try_mount = |options: std::ffi::CString| mount("overlay", &root, "overlay", safe, options.as_c_str());
    let first = match try_mount(options("u", "w", "volatile,")) {
        Ok(()) => return Ok(root),
        Err(error) => error,
    };
    if try_mount(options("upper", "work", "")).is_ok() {
        note(&format!(
            "Changes are kept in memory while it runs: the file system of `{}` cannot hold the writable part.",
            spec.run_dir.display()
        ));
        return Ok(root);
    }
    Err(at(Step::Overlay, format!("mount an overlay of {} layers (the reason is in the kernel's log)", lower.len()))(
        first,
    ))
}

fn clone_tree(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags)
}

/// A copy of the mounts at a host path that is nowhere yet.
fn detached(path: &Path) -> Result<OwnedFd, Failed> {
    clone_tree(path).map_err(at(Step::Bind, format!("show `{}` inside", path.display())))
}

fn attach(tree: &OwnedFd, target: &Path, step: Step) -> Result<(), Failed> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(tree, "", CWD, target, flags).map_err(at(step, format!("mount on `{}` inside", target.display())))
}

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;

/// Shows a directory of this machine where it lies here. Where it cannot be protected (Linux before 5.12) it is not shown.
fn show_read_only(tree: &OwnedFd, path: &Path) -> Result<(), Failed> {
    if sys::set_mount_attributes(tree.as_fd(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY).is_err() {
        return Ok(());
    }
    make_dir(path, 0o755)?;
    attach(tree, path, Step::System)
}

fn attach_bind(bind: &super::spec::Bind, tree: &OwnedFd) -> Result<(), Failed> {
    let is_dir = rustix::fs::fstat(tree)
        .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
        .map_err(at(Step::Bind, format!("look at `{}`", bind.host.display())))?;
    let target = &bind.target;
    if !target.exists() {
        if is_dir {
            make_dir(target, 0o755)?;
        } else {
            make_dir(target.parent().unwrap_or(Path::new("/")), 0o755)?;
            fs::write(target, b"").map_err(Failed::at(Step::Bind, format!("make `{}` inside", target.display())))?;
        }
    }
    attach(tree, target, Step::Bind)
}

/// Takes from a detached tree what its user does not give.
fn protect(bind: &super::spec::Bind, tree: &OwnedFd) -> Result<(), Failed> {
    let read_only = if bind.read_only { MOUNT_ATTR_RDONLY } else { 0 };
    sys::set_mount_attributes(tree.as_fd(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | read_only)
        .map_err(Failed::at(Step::Bind, format!("protect `{}` (needs Linux 5.12)", bind.host.display())))
}

/// A path of the image without links: each was followed by its text. Linux would follow those of `/proc` (`proc(5)`,
/// `/proc/PID/fd`) to the file that is open, whatever its text says, and so out of the root.
pub(super) fn by_text(path: &Path) -> std::io::Result<std::path::PathBuf> {
    fs::canonicalize(path)
}

/// Replaces the link `prefix` by a directory that shows `canonical`: `realpath` then says what it said.
fn make_exact(prefix: &Path, canonical: &Path) -> Result<(), Failed> {
    // A real directory is exact already.
    if !fs::symlink_metadata(prefix).is_ok_and(|metadata| metadata.is_symlink()) {
        return Ok(());
    }
    // An environment of which nothing was needed has a link and no content.
    if !canonical.exists() {
        return Ok(());
    }
    let what = || format!("make `{}` a directory", prefix.display());
    let failed = || Failed::at(Step::Files, what());
    let parent = by_text(prefix.parent().unwrap_or(Path::new("/"))).map_err(failed())?;
    let prefix = &parent.join(prefix.file_name().unwrap_or_default());
    let tree = detached(&by_text(canonical).map_err(failed())?)?;
    fs::remove_file(prefix).map_err(Failed::at(Step::Files, what()))?;
    make_dir(prefix, 0o755)?;
    attach(&tree, prefix, Step::Bind)
}

/// A stand-in for a machine has nothing covered: Linux lets a container inside mount its own `/proc` only then.
fn mount_proc(shared: Option<OwnedFd>, spec: &Spec) -> Result<(), Failed> {
    let proc = Path::new("/proc");
    make_dir(proc, 0o555)?;
    match shared {
        Some(tree) => attach(&tree, proc, Step::Proc)?,
        None => {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount("proc", proc, "proc", flags, None).map_err(at(Step::Proc, "mount /proc"))?;
            // Before it is covered. Nothing else is started before the command.
            if let Some(before) = spec.first_pid.and_then(|pid| pid.checked_sub(1)) {
                fs::write("/proc/sys/kernel/ns_last_pid", before.to_string()).unwrap_or_default();
            }
        }
    }
    if spec.machine {
        return Ok(());
    }
    for name in PROC_READ_ONLY {
        let path = proc.join(name);
        // What this kernel does not have needs no protection; neither does what is read-only already.
        if path.exists() {
            let what = || format!("make {} read-only", path.display());
            rustix::mount::mount_bind_recursive(&path, &path).map_err(at(Step::Proc, what()))?;
            let flags =
                MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount_remount(&path, flags, c"").map_err(at(Step::Proc, what()))?;
        }
    }
    Ok(())
}

fn mount_dev(devices: &[(&str, OwnedFd)], open: bool) -> Result<(), Failed> {
    let dev = Path::new("/dev");
    make_dir(dev, 0o755)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("tmpfs", dev, "tmpfs", flags, c"mode=0755,size=1m").map_err(at(Step::Dev, "mount /dev"))?;
    for (name, tree) in devices {
        let path = dev.join(name);
        fs::write(&path, b"").map_err(Failed::at(Step::Dev, format!("make {}", path.display())))?;
        attach(tree, &path, Step::Dev)?;
    }
    for (name, target) in DEVICE_LINKS {
        symlink(target, dev.join(name)).map_err(Failed::at(Step::Dev, format!("make /dev/{name}")))?;
    }
    for name in ["shm", "pts"] {
        make_dir(&dev.join(name), 0o755)?;
    }
    let data = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", "/dev/shm", "tmpfs", data, c"mode=1777").map_err(at(Step::Dev, "mount /dev/shm"))?;
    mount("devpts", "/dev/pts", "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620")
        .map_err(at(Step::Dev, "mount /dev/pts"))?;
    for name in if open { &[][..] } else { &PROC_HIDDEN[..] } {
        let path = Path::new("/proc").join(name);
        if path.exists() {
            rustix::mount::mount_bind("/dev/null", &path)
                .map_err(at(Step::Proc, format!("hide {}", path.display())))?;
        }
    }
    Ok(())
}

/// Directories that every program counts on, where the image has none, and the host's resolver.
fn make_usual_files(resolver: Option<&[u8]>) -> Result<(), Failed> {
    for dir in ["/tmp", "/var/tmp"] {
        if !Path::new(dir).exists() {
            make_dir(Path::new(dir), 0o755)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o1777))
                .map_err(Failed::at(Step::Files, format!("make {dir} writable")))?;
        }
    }
    if let Some(resolver) = resolver {
        make_dir(Path::new("/etc"), 0o755)?;
        replace_file(Path::new("/etc/resolv.conf"), resolver)?;
    }
    Ok(())
}

fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let what = || format!("write `{}`", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Failed::at(Step::Files, what())(error)),
        _ => {}
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    file.and_then(|mut file| io::Write::write_all(&mut file, bytes)).map_err(Failed::at(Step::Files, what()))
}

/// Makes a directory and its parents with this mode (the caller's umask is 0); one that is there is left as it is.
pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), Failed> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(Failed::at(Step::Files, format!("make the directory `{}`", path.display())))
}

fn bring_up_loopback() -> Result<(), Failed> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(at(Step::System, "make a socket"))?;
    sys::loopback_up(socket.as_fd()).map_err(Failed::at(Step::System, "set the loopback interface up"))
}

/// Writes this process's one user and group into the maps of its new user namespace.
pub(super) fn map_ids(spec: &Spec, uid: u32, gid: u32) -> Result<(), Failed> {
    let write =
        |path: &str, text: String| fs::write(path, text).map_err(Failed::at(Step::Map, format!("write {path}")));
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/gid_map", format!("{} {gid} 1\n", spec.gid))?;
    write("/proc/self/uid_map", format!("{} {uid} 1\n", spec.uid))
}

/// A new keyring, no capabilities (or the few of a recorded root), `no_new_privs`, the system call filters.
///
/// With `nesting` the filters are left out: the stand-in for a machine may make containers. Gives whether signals and
/// sockets without a file end at this process, whatever namespaces it shares (Linux 6.12).
pub(super) fn drop_rights(keep_for_root: bool, nesting: bool) -> Result<bool, Failed> {
    match sys::join_new_session_keyring() {
        // A kernel without keyrings has none to hide; a filter that refuses us the call refuses it to the command.
        Err(error) if ![Some(libc::ENOSYS), Some(libc::EPERM)].contains(&error.raw_os_error()) => {
            return Err(Failed::at(Step::System, "make a new keyring")(error));
        }
        _ => {}
    }
    let mut kept: CapabilitySet = if keep_for_root { ROOT_KEEPS.into_iter().collect() } else { CapabilitySet::empty() };
    if keep_for_root && nesting {
        // Without it Linux lets root map itself into no namespace of its own.
        kept |= CapabilitySet::SETFCAP;
    }
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            // The first number that Linux does not know.
            Err(_) => break,
            Ok(true) if !kept.contains(capability) => {
                rustix::thread::remove_capability_from_bounding_set(capability)
                    .map_err(at(Step::Rights, "give up the right to new capabilities"))?;
            }
            Ok(_) => {}
        }
    }
    // Linux before 4.3 has no ambient set.
    rustix::thread::clear_ambient_capability_set().unwrap_or_default();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(at(Step::Rights, "give up capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(at(Step::Rights, "set no_new_privs"))?;
    if nesting {
        return Ok(true);
    }
    let scoped = sys::scope_signals_and_abstract_sockets().is_ok();
    seccomp::install().map_err(|error| Failed {
        step: Step::Rights,
        what: format!("install the system call filter: {error}"),
        errno: 0,
    })?;
    Ok(scoped)
}

/// Whether this process may call `chroot(2)` (being root alone does not say so).
pub(super) fn may_chroot() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_CHROOT))
}

/// Whether this process may mount (an administrator, or root in a container that was given the right).
pub(super) fn may_mount() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Copies the layers for [`RootKind::Copy`]; done by the outer process.
pub(super) fn prepare_copy(spec: &Spec) -> Result<(), Failed> {
    let target = spec.run_dir.join(COPY);
    if target.exists() {
        return Ok(());
    }
    merge::merge_layers(&spec.layers, &target).map_err(|error| {
        let errno = error.source.raw_os_error().unwrap_or(0);
        Failed { step: Step::Files, what: format!("copy the layers to `{}`", error.path.display()), errno }
    })?;
    // Where it cannot be made, the command is told that its working directory is not there.
    open_below(&target, &spec.cwd);
    Ok(())
}

/// Makes a directory of the image before its root is entered, and opens it. `None` where a link is on the way, which is
/// never followed, or the path cannot be made.
fn open_below(root: &Path, path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = rustix::fs::open(root, flags, Mode::empty()).ok()?;
    for component in path.components() {
        let std::path::Component::Normal(name) = component else { continue };
        // That it is there already is the usual case.
        rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o755)).unwrap_or_default();
        here = rustix::fs::openat(&here, name, flags, Mode::empty()).ok()?;
    }
    Some(here)
}
