//! Joins what was said and what was touched into a session and its store.
