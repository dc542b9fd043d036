//! Engines, browser, kill series, other roots: the group that takes minutes.
