//! Nothing is called damaged, cut or put aside that was not read twice.
//!
//! A drive may fail on a sector once and deliver it the next time, or deliver another one. Taken at its word, one bad
//! read would cost a slot, a checkpoint, or the end of the log. So what fails a check is read again, until it passes
//! or reads the same as before. (After an error the second read asks the drive again; wrong bytes may come from the
//! system's cache once more. Those are damage, then, and repaired as such: the copy on the disk stays.)

/// Reads until the outcome is sound, or the same twice in a row. A single bad read never decides, not even when it
/// falls among those of something that really is damaged.
pub(crate) fn settled<T: PartialEq>(mut read: impl FnMut() -> T, sound: impl Fn(&T) -> bool) -> T {
    /// A drive that says something else each time is damaged, whatever it says.
    const MOST_READS: usize = 5;
    let mut outcome = read();
    for _ in 1..MOST_READS {
        if sound(&outcome) {
            break;
        }
        let again = read();
        if again == outcome {
            break;
        }
        outcome = again;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(readings: &[u8], sound: u8) -> (u8, usize) {
        let mut reads = 0;
        let read = || {
            reads += 1;
            readings[reads - 1]
        };
        (settled(read, |byte| *byte == sound), reads)
    }

    #[test]
    fn one_bad_read_never_decides() {
        assert_eq!(outcome(&[7], 7), (7, 1));
        assert_eq!(outcome(&[1, 7], 7), (7, 2));
        // Nothing passes: it's damaged. A bad read changes nothing of that, wherever it falls.
        assert_eq!(outcome(&[1, 1], 7), (1, 2));
        assert_eq!(outcome(&[2, 1, 1], 7), (1, 3));
        assert_eq!(outcome(&[1, 2, 1, 1], 7), (1, 4));
        assert_eq!(outcome(&[1, 2, 3, 4, 5], 7), (5, 5));
    }
}
