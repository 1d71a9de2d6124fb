//! A whole Quorate node without I/O: Raft, state machine and pending requests.
