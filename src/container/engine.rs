//! The command line for a container engine, where the user asks for one.
