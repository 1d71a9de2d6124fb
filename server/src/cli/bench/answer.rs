//! Enough of HTTP/1.1 to know the status of an answer and where it ends (RFC 9112, sections 4, 6 and 7.1).

/// A whole answer, somewhere at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Head and body together.
    pub(crate) bytes: usize,
    /// The server will close the connection.
    pub(crate) closes: bool,
}

/// What the buffer holds is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Finds the answer at the start of `buffer`; `None` while a part of it is missing.
pub(crate) fn parse(buffer: &[u8]) -> Result<Option<Answer>, Malformed> {
    let Some(head_bytes) = find(buffer, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&buffer[..head_bytes]).map_err(|_| Malformed)?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(Malformed)?;
    let status = status_line.get(..3).and_then(|digits| digits.parse().ok()).ok_or(Malformed)?;
    let (mut length, mut chunked, mut closes) = (None, false, false);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Malformed)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| Malformed)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let body = &buffer[head_bytes + 4..];
    let body_bytes = match (chunked, length) {
        (true, _) => chunked_bytes(body)?,
        (false, Some(length)) => (body.len() >= length).then_some(length),
        // A body that only the end of the connection ends: no Quorate server sends one.
        (false, None) => return Err(Malformed),
    };
    Ok(body_bytes.map(|bytes| Answer { status, bytes: head_bytes + 4 + bytes, closes }))
}

/// The size of a chunked body without trailers; `None` while a part of it is missing.
fn chunked_bytes(body: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut position = 0;
    loop {
        let Some(line_bytes) = find(&body[position..], b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&body[position..position + line_bytes]).map_err(|_| Malformed)?;
        let digits = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).map_err(|_| Malformed)?;
        let after = (position + line_bytes + 2).checked_add(size).and_then(|end| end.checked_add(2));
        position = after.ok_or(Malformed)?;
        if body.len() < position {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(position));
        }
    }
}

fn find(buffer: &[u8], wanted: &[u8]) -> Option<usize> {
    buffer.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_once_it_is_whole_and_never_earlier() {
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nETag: \"7\"\r\n\r\nhello", 200, false),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, false),
            ("HTTP/1.1 503 x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}", 503, true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1a;x=y\r\n01234567890123456789012345\r\n0\r\n\r\n",
                200,
                false,
            ),
        ];
        for (text, status, closes) in cases {
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "the first {end} bytes of {text:?}");
            }
            let expected = Answer { status, bytes: text.len(), closes };
            assert_eq!(parse(text.as_bytes()), Ok(Some(expected)), "{text:?}");
            assert_eq!(parse(format!("{text}more").as_bytes()), Ok(Some(expected)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        let cases = [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ];
        for text in cases {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text:?}");
        }
    }
}
