//! Drives real processes. One binary; one file for each promise.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod bad_input;
mod bundle;
mod capture;
mod capture_faults;
mod capture_kinds;
#[cfg(target_arch = "x86_64")]
mod capture_preload;
mod container;
mod docs;
mod fallback;
mod floors;
mod inventory;
mod kernel;
mod panel;
mod record;
mod refused;
mod registry;
mod replay;
mod restore;
mod restore_places;
mod sign;
mod sign_registry;
mod slow;
mod support;
