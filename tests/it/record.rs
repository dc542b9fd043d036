//! Promises of `record`, kept with real processes.
