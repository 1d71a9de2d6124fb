//! Which span a request comes from, and which it goes on from: W3C Trace Context.
//!
//! The propagator of the SDK is not used for reading: it takes ids of any length, and signs in them.

use hyper::header::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::http::{TRACEPARENT, TRACESTATE};

/// The span that a request comes from. Headers that do not name one as they should name none.
pub(super) fn read(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (parent, None) = (given.next()?, given.next()) else { return None };
    let (trace, span, flags) = parse(parent.to_str().ok()?)?;
    let states: Option<Vec<&str>> =
        headers.get_all(TRACESTATE).iter().map(|state| state.to_str().ok()).collect();
    // A bad one does not spoil its parent.
    let state: TraceState = states.and_then(|states| states.join(",").parse().ok()).unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state))
}

/// Names the span that a request goes on from, in the place of the one that it came from.
pub(super) fn write(context: &SpanContext, headers: &mut HeaderMap) {
    let (trace, span) = (context.trace_id(), context.span_id());
    let parent = format!("00-{trace}-{span}-{:02x}", context.trace_flags());
    headers.insert(TRACEPARENT, HeaderValue::try_from(parent).expect("digits and dashes are a header value"));
    headers.remove(TRACESTATE);
    let state = context.trace_state().header();
    if let Ok(state) = HeaderValue::try_from(state)
        && !state.is_empty()
    {
        headers.insert(TRACESTATE, state);
    }
}

/// `version-trace-span-flags`, all in lower-case hex. After that, versions to come may have more.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut fields = text.splitn(5, '-');
    let mut field = |digits| hex(fields.next()?, digits);
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let has_more = fields.next().is_some();
    let is_readable = version == 0 && !has_more || (1..0xff).contains(&version);
    let trace = TraceId::from_bytes(trace.to_be_bytes());
    let span = SpanId::from_bytes(u64::try_from(span).ok()?.to_be_bytes());
    // Of the flags only the first has kept its meaning.
    let flags = TraceFlags::new(u8::try_from(flags).ok()?) & TraceFlags::SAMPLED;
    let is_named = trace != TraceId::INVALID && span != SpanId::INVALID;
    (is_readable && is_named).then_some((trace, span, flags))
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_parent_is_read_as_it_was_written() {
        for (version, flags, more, is_sampled) in [
            ("00", "01", "", true),
            ("00", "00", "", false),
            ("00", "03", "", true),
            ("00", "02", "", false),
            ("cc", "01", "", true),
            ("cc", "09", "-what-comes-then", true),
        ] {
            let text = format!("{version}-{TRACE}-{SPAN}-{flags}{more}");
            let given = [("traceparent", &*text), ("tracestate", "a=1,b=2"), ("tracestate", "c=3")];
            let read = read(&headers(&given)).unwrap();
            assert_eq!(
                (read.trace_id().to_string(), read.span_id().to_string()),
                (TRACE.into(), SPAN.into())
            );
            assert_eq!((read.is_sampled(), read.is_remote()), (is_sampled, true), "{text}");

            let mut written = headers(&[("tracestate", "of=another"), ("traceparent", "of another")]);
            write(&read, &mut written);
            let flags = if is_sampled { "01" } else { "00" };
            let expected =
                [("traceparent", &*format!("00-{TRACE}-{SPAN}-{flags}")), ("tracestate", "a=1,b=2,c=3")];
            assert_eq!(written, headers(&expected));
        }
    }

    #[test]
    fn what_is_no_parent_is_none() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert!(read(&headers(&[("traceparent", &good)])).is_some());
        let bad = [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("+0-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{TRACE}-+{}-01", &SPAN[1..]),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}-001"),
        ];
        for text in bad {
            assert!(read(&headers(&[("traceparent", &text)])).is_none(), "{text:?}");
        }
        assert!(read(&headers(&[("traceparent", &good), ("traceparent", &good)])).is_none());
    }

    #[test]
    fn a_bad_state_does_not_spoil_its_parent() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let read = read(&headers(&[("traceparent", &text), ("tracestate", "no pair")])).unwrap();
        let mut written = headers(&[("tracestate", "no pair")]);
        write(&read, &mut written);
        assert_eq!(written, headers(&[("traceparent", &text)]));
    }
}
