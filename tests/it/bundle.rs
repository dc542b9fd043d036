//! Promises of `bundle`, kept with real processes.
