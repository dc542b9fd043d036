//! The proxy kernel: what frontend and kernel said, byte for byte.
