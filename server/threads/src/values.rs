//! Values that one thread changes and another waits for.

use loom::future::block_on;
use loom::thread;

use crate::orders::in_every_order;
use crate::watch::{Closed, channel};

/// Who waits for a value sees it, whenever it is put there.
pub fn a_change_is_never_missed() -> usize {
    in_every_order(|| {
        let (sender, mut receiver) = channel(0);
        let changing = thread::spawn(move || {
            sender.replace(1);
            sender.replace(2);
            sender
        });
        assert_eq!(block_on(receiver.wait_for(|value| *value == 2)), Ok(2));
        changing.join().expect("who changes does not panic");
    })
}

/// Who waits for a value that never comes hears that nobody is left; and of the last one before that.
pub fn the_end_is_never_missed() -> usize {
    in_every_order(|| {
        let (sender, mut receiver) = channel(0);
        let other = sender.clone();
        let changing = thread::spawn(move || other.replace(1));
        drop(sender);
        assert_eq!(block_on(receiver.changed()), Ok(()));
        assert_eq!(receiver.current(), 1);
        assert_eq!(block_on(receiver.changed()), Err(Closed));
        changing.join().expect("who changes does not panic");
    })
}
