//! Which files did the processes touch? Watches, never decides.
