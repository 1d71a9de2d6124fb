//! The allocator of whatever runs the simulator.

/// A run allocates much and keeps little. Nothing that is observed depends on addresses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
