//! `nbpack tap`: the process between proxy and kernel. Started by nbpack itself, never by a person.

use std::{ffi::OsString, os::fd::RawFd, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use super::Context;
use crate::capture::{self, IoUring, Tap};

/// Starts the kernel and answers for it (internal).
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Descriptor of the shared memory.
    #[arg(long)]
    memory: RawFd,
    /// Descriptor of the socket to the proxy.
    #[arg(long)]
    control: RawFd,
    /// Descriptor of the event that wakes the proxy.
    #[arg(long)]
    wake: RawFd,
    /// Descriptor of the event by which the proxy lets a traced call go on.
    #[arg(long)]
    bell: RawFd,
    /// Descriptor of the memory with the object for the kernel's dynamic loader.
    #[arg(long)]
    preload: Option<RawFd>,
    /// The way to watch that is tried first.
    #[arg(long)]
    mode: String,
    /// The directory with the hook for Python.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// Do not let programs use io_uring.
    #[arg(long)]
    refuse_io_uring: bool,
    /// The kernel's program and arguments.
    #[arg(last = true, required = true)]
    argv: Vec<OsString>,
}

pub(super) fn run(args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let io_uring = if args.refuse_io_uring { IoUring::Refuse } else { IoUring::Detect };
    let Args { memory, control, wake, bell, preload, mode, audit, argv, .. } = args;
    let mode = capture::Mode::from_word(&mode).unwrap_or(capture::Mode::Auto);
    capture::run_tap(&Tap { memory, control, wake, bell, preload, mode, audit, io_uring, argv })
        .context("cannot serve the kernel")?;
    Ok(ExitCode::SUCCESS)
}
