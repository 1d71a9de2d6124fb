//! Codec and checksummed frames for Quorate's messages, log records and checkpoints.
