//! Promises of `container`, kept with real processes.
