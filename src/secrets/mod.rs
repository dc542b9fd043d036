//! Finds what must not leave.
