//! Runs of the whole server.
