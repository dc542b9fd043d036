//! Promises of `capture`, kept with real processes.
