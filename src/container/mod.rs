//! A root made of layers, and a process in it, without root rights.

pub mod spec;
