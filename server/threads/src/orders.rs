//! How a story is tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tries all orders in which threads are interrupted at most three times where they need not wait, and says how many
/// there are.
pub(crate) fn in_every_order(story: impl Fn() + Send + Sync + 'static) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        story();
    });
    orders.load(Ordering::Relaxed)
}
