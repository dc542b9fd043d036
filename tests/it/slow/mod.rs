//! Engines, browser, kill series, other roots: the group that takes minutes.

mod browser;
mod colleague;
mod engines;
mod inventory;
mod kills;
mod replay;
