//! What a recording needs to run again: every file, link and directory of the image, each with its class and rule.

pub mod model;
