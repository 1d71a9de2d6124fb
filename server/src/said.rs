//! What was last said, so that the same thing over and over costs one line.

use std::sync::{Mutex, PoisonError};

/// The last thing that was said.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<String>);

impl Said {
    /// Whether this is something else; then it is what was said last.
    pub(crate) fn is_new(&self, text: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *last != text;
        if is_new {
            text.clone_into(&mut last);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_last_is_new() {
        let said = Said::default();
        let new = ["a", "a", "b", "a", "a"].map(|text| said.is_new(text));
        assert_eq!(new, [true, false, true, true, false]);
    }
}
