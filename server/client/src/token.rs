//! What says who a client is.

use hyper::header::HeaderValue;

/// A token, as `quorate token new` prints it. It is not shown when it is printed for debugging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(HeaderValue);

/// The text is no token. It is not quoted: it may be a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no token: a token is one word, q1.….…, as `quorate token new` prints it")]
pub struct TokenError;

impl Token {
    /// Reads a token. What is in it is the server's business; here it only has to fit into a header.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Token, TokenError> {
        // The characters of a token in `Authorization` (RFC 6750, section 2.1).
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(TokenError);
        }
        let mut header = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| TokenError)?;
        header.set_sensitive(true);
        Ok(Token(header))
    }

    /// The value of the header `Authorization`.
    pub fn authorization(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_token_goes_into_a_header_and_nowhere_else() {
        let token = Token::parse(" q1.00ff.s-e_cret=\n").unwrap();
        assert_eq!(token.authorization(), "Bearer q1.00ff.s-e_cret=");
        assert!(!format!("{token:?}").contains("cret"));
        for text in ["", " ", "two words", "a\r\nhost: b", "ü", "a\0"] {
            assert_eq!(Token::parse(text), Err(TokenError), "{text:?}");
        }
        assert!(!TokenError.to_string().contains("cret"));
    }
}
