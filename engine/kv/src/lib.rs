//! The deterministic key-value state machine of Quorate.
