//! Takes the elements out of the one list in a JSON object, piece by piece as the object arrives.
//!
//! `{"revision":9,"keys":[E,E,…],"more":true}` gives each `E` as soon as it is whole, and in the end what is around
//! them: `{"revision":9,"keys":[],"more":true}`. So neither the list nor its text is ever in memory as a whole.

/// The longest element; a server's largest value is far smaller, even in base64.
const MOST_ELEMENT_BYTES: usize = 256 << 20;

/// Where the next byte stands.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    /// How many braces and brackets are open.
    depth: usize,
    has_begun: bool,
    in_text: bool,
    /// The byte before was a backslash in a text.
    is_escaped: bool,
    /// Whether the list has begun, and not ended.
    in_list: bool,
    /// The element that has begun.
    element: Vec<u8>,
    /// All but the elements and what parts them.
    around: Vec<u8>,
}

/// What arrives is no object with a list, or an element of it is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Elements {
    /// Takes bytes, and tells how many of them were taken: all, or up to the end of an element, which it returns.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Vec<u8>>), Malformed> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.element.len() > MOST_ELEMENT_BYTES {
                return Err(Malformed);
            }
            if self.step(*byte)? {
                return Ok((at + 1, Some(std::mem::take(&mut self.element))));
            }
        }
        Ok((bytes.len(), None))
    }

    /// What is around the elements, as far as it is there; the list and the object closed, if they are still open.
    pub(crate) fn around(&self) -> Vec<u8> {
        let end: &[u8] = if self.in_list { b"]}" } else { b"" };
        [&self.around, end].concat()
    }

    /// Whether the object has ended.
    pub(crate) fn is_whole(&self) -> bool {
        self.depth == 0 && self.has_begun
    }

    /// Takes a byte, and says whether it ended an element.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        let before = self.depth;
        self.count(byte)?;
        if self.in_list && (before > 2 || self.depth > 2) {
            self.element.push(byte);
            return Ok(self.depth == 2);
        }
        match (self.in_list, before, self.depth) {
            (false, 1, 2) => self.in_list = byte == b'[',
            (true, 2, 1) => self.in_list = false,
            (true, ..) if byte == b',' || byte.is_ascii_whitespace() => return Ok(false),
            (true, ..) => return Err(Malformed),
            (false, ..) => {}
        }
        self.around.push(byte);
        Ok(false)
    }

    /// Counts braces and brackets outside of texts.
    fn count(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.in_text {
            self.in_text = byte != b'"' || self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return Ok(());
        }
        match byte {
            b'{' if self.depth == 0 && !self.has_begun => (self.depth, self.has_begun) = (1, true),
            _ if self.depth == 0 && !byte.is_ascii_whitespace() => return Err(Malformed),
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or(Malformed)?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn parse(text: &str, piece_bytes: usize) -> (Vec<String>, String) {
        let (mut elements, mut found) = (Elements::default(), Vec::new());
        for piece in text.as_bytes().chunks(piece_bytes) {
            let mut left = piece;
            while !left.is_empty() {
                let (taken, element) = elements.take(left).unwrap();
                found.extend(element.map(|element| String::from_utf8(element).unwrap()));
                left = &left[taken..];
            }
        }
        assert!(elements.is_whole());
        (found, String::from_utf8(elements.around()).unwrap())
    }

    #[test]
    fn elements_come_out_and_the_rest_stays() {
        let cases = [
            (r#"{"revision":9,"keys":[],"more":false}"#, &[][..], r#"{"revision":9,"keys":[],"more":false}"#),
            (
                r#"{"revision":9,"keys":[{"a":1},{"b":"]}\"\\"} , {"c":[[{}],2]}],"more":true,"next":"[{"}"#,
                &[r#"{"a":1}"#, r#"{"b":"]}\"\\"}"#, r#"{"c":[[{}],2]}"#],
                r#"{"revision":9,"keys":[],"more":true,"next":"[{"}"#,
            ),
            (" {\n \"keys\": [\n{}\n, {} ] }", &["{}", "{}"], " {\n \"keys\": [] }"),
        ];
        for (text, expected, around) in cases {
            for piece_bytes in [1, 2, 3, 7, text.len()] {
                let (found, rest) = parse(text, piece_bytes);
                assert_eq!(
                    (found, rest.as_str()),
                    (expected.iter().map(ToString::to_string).collect(), around)
                );
            }
        }
    }

    #[test]
    fn the_beginning_is_known_before_the_end() {
        let mut elements = Elements::default();
        assert_eq!(elements.take(br#"{"revision":9,"keys":[{"a""#), Ok((26, None)));
        assert_eq!(elements.around(), br#"{"revision":9,"keys":[]}"#);
        assert!(!elements.is_whole());
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for text in ["]", "[", "hello", "{}{", r#"{"keys":[1]}"#, r#"{"keys":["a"]}"#] {
            assert_eq!(Elements::default().take(text.as_bytes()), Err(Malformed), "{text}");
        }
    }
}
