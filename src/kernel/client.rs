//! A frontend of our own, for replays.
