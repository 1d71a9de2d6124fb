//! Which of two forms of an answer a client would rather have (`Accept`, RFC 9110 §12.5.1).

use hyper::header::{ACCEPT, HeaderMap};

/// What every route answers with unless something else is asked for.
const JSON: &str = "application/json";

/// Whether the client would rather have `media_type` than JSON. Whoever takes anything gets JSON.
pub(crate) fn prefers(headers: &HeaderMap, media_type: &str) -> bool {
    quality(headers, media_type) > quality(headers, JSON)
}

/// How much the client wants a type, in thousandths: the range that names it most closely counts.
fn quality(headers: &HeaderMap, media_type: &str) -> u16 {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(',')).filter_map(range);
    let fitting = ranges.filter_map(|(range, quality)| Some((closeness(range, media_type)?, quality)));
    fitting.max().map_or(0, |(_, quality)| quality)
}

/// A media range and its `q`. What can't be read is none.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next()?;
    let quality = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
    });
    quality.unwrap_or(Some(1000)).map(|quality| (range, quality))
}

/// `0` to `1`, with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let decimals: u16 = format!("{decimals:0<3}").parse().ok().filter(|_| is_number)?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

/// How closely a range names a type, if it does.
fn closeness(range: &str, media_type: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(2);
    }
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (kind, "*") => media_type.split('/').next()?.eq_ignore_ascii_case(kind).then_some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn wants(lines: &[&str], media_type: &str) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, line.parse().unwrap());
        }
        prefers(&headers, media_type)
    }

    #[test]
    fn a_browser_wants_the_page_and_a_program_does_not() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        let cases: [(&[&str], bool); 17] = [
            (&[browser], true),
            (&["text/html"], true),
            (&["TEXT/HTML;charset=utf-8"], true),
            (&["text/*"], true),
            (&["application/json;q=0.4, text/html;q=0.5"], true),
            (&["application/json;q=0", "text/html;q=0.001"], true),
            (&["text/html, */*;q=0"], true),
            (&[], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&["text/html, application/json"], false),
            (&["text/html;q=0.5, application/json"], false),
            (&["text/html;q=0"], false),
            (&["text/html;q=0, text/*"], false),
            (&["text/html;q=0.8, */*"], false),
            (&["text/html;q=2", "text/html;q=x", "html"], false),
            (&["application/xhtml+xml"], false),
        ];
        for (lines, expected) in cases {
            assert_eq!(wants(lines, "text/html"), expected, "{lines:?}");
        }
    }

    #[test]
    fn events_are_asked_for_by_name() {
        let wants_events = |line| wants(&[line], "text/event-stream");
        assert!(wants_events("text/event-stream"));
        assert!(!wants_events("*/*") && !wants_events("text/html"));
    }

    #[test]
    fn numbers_have_up_to_three_decimals() {
        for (text, expected) in
            [("0", 0), ("0.5", 500), ("0.25", 250), ("0.001", 1), ("1.000", 1000), ("1", 1000)]
        {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
        for text in ["", "2", "1.001", "0.0001", "-0", "0.x", "0.+1", ".5"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }
}
