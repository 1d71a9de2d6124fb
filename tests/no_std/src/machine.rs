//! What std would bring: an allocator and a panic handler. And one use of the core, so that it is really linked.

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::null_mut;

use quorate_raft::{Config, Found, Input, NodeId, Raft, Time};

/// Opens a core with nothing on its disk, wakes it, and counts what it wants done.
#[unsafe(no_mangle)]
pub extern "C" fn open_a_core(id: u64, now_microseconds: u64) -> usize {
    let config = Config::new(NodeId(u128::from(id)), id);
    let now = Time(now_microseconds);
    let Ok(mut raft) = Raft::open(config, Found::default(), now) else { return usize::MAX };
    raft.handle(now, Input::Timeout);
    core::iter::from_fn(|| raft.poll()).count()
}

/// An allocator that never has memory: this program is built, not run.
struct NoMemory;

// SAFETY: a null pointer is what `alloc` returns when it can't allocate, so `dealloc` is never called.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {}
}
