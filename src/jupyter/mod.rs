//! What valid messages, kernelspecs and connection files are: formats, no sockets.

pub mod connection;
pub mod kernelspec;
pub mod wire;
