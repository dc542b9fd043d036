//! How a bundle becomes a kernel on this machine.

pub mod model;
