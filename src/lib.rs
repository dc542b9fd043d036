//! Records a Jupyter session, packs it as a content-addressed bundle, and restores it elsewhere.
//!
//! The modules are floors of one house; imports point down only (`tests/it/floors.rs` checks it).
//! `docs/ARCHITECTURE.md` has a paragraph about each.

// floor 0
pub mod digest;
pub mod files;
// floor 1
pub mod event;
pub mod jupyter;
pub mod signature;
pub mod socket_dir;
pub mod store;
// floor 2
pub mod capture;
pub mod kernel;
pub mod session;
// floor 3
pub mod inventory;
pub mod record;
pub mod secrets;
// floor 4
pub mod bundle;
// floor 5
pub mod container;
pub mod registry;
// floor 6
pub mod package_index;
pub mod restore;
// floor 7
pub mod replay;
// floor 8
pub mod report;
// floor 9
pub mod cli;
