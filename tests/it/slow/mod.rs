//! Engines, browser, kill series, other roots: the group that takes minutes.

mod apps;
mod bisect;
mod browser;
mod colleague;
mod docs;
mod endings;
mod engine_verbs;
mod engines;
mod faults;
mod frontends;
mod installers;
mod inventory;
mod kernels;
mod kills;
mod panel;
mod pictures;
mod prepare;
mod published;
mod replay;
mod report;
mod roots;
mod standards;
mod trim;
