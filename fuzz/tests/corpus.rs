//! Every known input, on stable. The same replay is part of the repository's tests.

use std::path::Path;

#[test]
fn known_inputs_break_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    match quorate_fuzz::replay(&corpus) {
        Ok(inputs) => assert!(inputs >= quorate_fuzz::TARGETS.len()),
        Err(error) => panic!("{error}"),
    }
}
