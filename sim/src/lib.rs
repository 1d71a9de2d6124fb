//! The deterministic simulation harness of Quorate.
