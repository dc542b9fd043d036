//! Promises of `replay`, kept with real processes.
