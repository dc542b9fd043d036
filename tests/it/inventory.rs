//! Promises of `inventory`, kept with real processes.
