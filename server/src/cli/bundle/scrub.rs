//! Takes out of a text what has the form of a secret.

/// What stands in its place.
const REMOVED: &str = "[removed]";

/// What secrets begin with: tokens, join tokens, and what is kept of a token.
const BEGINNINGS: [&str; 4] = ["q1.", "qj1.", "$argon2id$", "Bearer "];

/// Words as long as this after such a beginning are secrets; a shorter one is part of a sentence about them.
const LEAST_BYTES: usize = 16;

/// The text without tokens, hashes of tokens, what a request authenticated itself with, and private keys.
pub(super) fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_key = false;
    for line in text.split_inclusive('\n') {
        if !(line.contains("-----") && line.contains("PRIVATE KEY")) {
            if !is_key {
                scrub_line(line, &mut out);
            }
            continue;
        }
        let (begins, ends) = (line.rfind("BEGIN"), line.rfind("END"));
        // Of a key whose beginning is not there, all before its end may be a part.
        if !is_key && begins.is_none() {
            out.clear();
        }
        if !is_key {
            out.push_str(REMOVED);
            out.push('\n');
        }
        is_key = begins > ends;
    }
    out
}

fn scrub_line(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some((at, beginning)) = next_beginning(rest) {
        let (before, from) = rest.split_at(at);
        let after = &from[beginning.len()..];
        let word = after.find(|c: char| !is_of_secret(c)).unwrap_or(after.len());
        out.push_str(before);
        out.push_str(beginning);
        if word >= LEAST_BYTES {
            out.push_str(REMOVED);
            rest = &after[word..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
}

fn next_beginning(text: &str) -> Option<(usize, &'static str)> {
    let found = BEGINNINGS.into_iter().filter_map(|beginning| Some((text.find(beginning)?, beginning)));
    found.min_by_key(|(at, _)| *at)
}

fn is_of_secret(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.+/=$,".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "yJ7o2Qw5x9ZkLmNpRsTuVwXyZ0123456789abcdefgh";

    #[test]
    fn what_has_the_form_of_a_secret_is_taken_out() {
        for (text, expected) in [
            (format!("a token q1.00112233aabbccdd.{SECRET} was shown\n"), "a token q1.[removed] was shown\n"),
            (format!("\"qj1.5d1a5a6f.{SECRET}\""), "\"qj1.[removed]\""),
            (
                format!("authorization: Bearer {SECRET}\r\nhost: x"),
                "authorization: Bearer [removed]\r\nhost: x",
            ),
            (
                format!("hash = \"$argon2id$v=19$m=19456,t=2,p=1${SECRET}\"\n"),
                "hash = \"$argon2id$[removed]\"\n",
            ),
            (format!("q1.{SECRET} q1.{SECRET}"), "q1.[removed] q1.[removed]"),
        ] {
            assert_eq!(scrub(&text), expected);
        }
    }

    #[test]
    fn private_keys_are_taken_out_and_certificates_are_not() {
        let text = "a\n-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n\
                    -----BEGIN EC PRIVATE KEY-----\nabc\ndef\n-----END EC PRIVATE KEY-----\nb\n";
        let expected = "a\n-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n[removed]\nb\n";
        assert_eq!(scrub(text), expected);
        assert_eq!(scrub("-----BEGIN PRIVATE KEY-----\nit breaks off"), "[removed]\n");
        assert_eq!(scrub("the rest of one\n-----END PRIVATE KEY-----\nb\n"), "[removed]\nb\n");
        let two =
            "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----------BEGIN PRIVATE KEY-----\ndef\n";
        assert_eq!(scrub(two), "[removed]\n");
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in ["", "no newline", "tokens begin with q1. and qj1.\n", "Bearer of news\n", "ü q1.x\n\n"]
        {
            assert_eq!(scrub(text), text);
        }
    }
}
