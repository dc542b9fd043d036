//! What valid messages, kernelspecs and connection files are: formats, no sockets.

pub mod connection;
pub mod kernelspec;
pub mod wire;

/// The contents of messages that this program looks into.
pub mod messages {
    pub use jupyter_protocol::messaging::{ExecutionState, IoPubWelcome, Status};
}
