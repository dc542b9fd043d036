//! How we say it: text, JSON, HTML.
