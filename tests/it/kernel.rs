//! Promises of `kernel`, kept with real processes.
