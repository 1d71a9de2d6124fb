//! When a certificate ends.
//!
//! The library that verifies certificates does not say it, so it is read from the bytes: of all that a certificate
//! holds (RFC 5280, section 4.1) the fields before the validity are skipped.

use rustls::pki_types::CertificateDer;
use time::{Date, Month, Time};

/// Tags of ASN.1's basic rules (X.690).
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which may be left out.
const VERSION: u8 = 0xa0;

/// When the first certificate of a chain ends, in seconds since 1970: none of it is of use any more then. Nothing when
/// that can't be read of one.
pub(super) fn earliest_end(chain: &[CertificateDer<'_>]) -> Option<u64> {
    let ends: Option<Vec<u64>> = chain.iter().map(|certificate| end(certificate)).collect();
    ends?.into_iter().min()
}

fn end(certificate: &[u8]) -> Option<u64> {
    let (mut whole, _) = of_tag(certificate, SEQUENCE)?;
    let (mut fields, _) = of_tag(take(&mut whole)?, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        take(&mut fields)?;
    }
    // The serial number, what it is signed with, and who signed it.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        of_tag(take(&mut fields)?, tag)?;
    }
    let (mut validity, _) = of_tag(fields, SEQUENCE)?;
    take(&mut validity)?;
    seconds(validity)
}

/// A point in time: `YYMMDDHHMMSSZ`, or with four digits for years from 2050 on.
fn seconds(encoded: &[u8]) -> Option<u64> {
    let (year, rest) = match encoded.first()? {
        &UTC_TIME => {
            let (text, _) = of_tag(encoded, UTC_TIME)?;
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        _ => {
            let (text, _) = of_tag(encoded, GENERALIZED_TIME)?;
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
    };
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut parts = digits.chunks(2).map(|part| number(part).and_then(|part| u8::try_from(part).ok()));
    let mut part = || parts.next().flatten();
    let month = Month::try_from(part()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, part()?).ok()?;
    let time = Time::from_hms(part()?, part()?, part()?).ok()?;
    u64::try_from(date.with_time(time).assume_utc().unix_timestamp()).ok()
}

fn number(digits: &[u8]) -> Option<u16> {
    let text = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// The content of the first value, and what is behind it; nothing when it is of another tag.
fn of_tag(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(length, _)| length.len() <= 4)?;
        (length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length).filter(|_| found == tag)
}

/// The first value, with its tag; `bytes` is what is behind it.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (_, behind) = of_tag(bytes, *bytes.first()?)?;
    let (value, behind) = bytes.split_at(bytes.len() - behind.len());
    *bytes = behind;
    Some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(year: i32, month: u8, day: u8) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::new(vec!["n1.example".to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(year, month, day);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// The seconds are those of `date -u -d 2031-02-03 +%s` and so on.
    #[test]
    fn the_end_is_what_the_certificate_says() {
        for (date, seconds) in [
            ((2031, 2, 3), 1_927_843_200),
            ((2049, 12, 31), 2_524_521_600),
            ((2050, 1, 1), 2_524_608_000),
            ((2120, 2, 29), 4_738_608_000),
        ] {
            let (year, month, day) = date;
            assert_eq!(end(&certificate(year, month, day)), Some(seconds), "{date:?}");
        }
    }

    #[test]
    fn of_a_chain_the_first_to_end_counts() {
        let chain = [certificate(2040, 1, 1), certificate(2031, 2, 3), certificate(2035, 1, 1)];
        assert_eq!(earliest_end(&chain), Some(1_927_843_200));
        assert_eq!(earliest_end(&[]), None);
    }

    #[test]
    fn what_is_cut_off_or_is_something_else_has_no_end() {
        let whole = certificate(2031, 2, 3);
        for length in 0..whole.len() {
            assert_eq!(end(&whole[..length]), None, "{length}");
        }
        for other in
            [b"".as_slice(), b"0", b"\x30\x84\xff\xff\xff\xff", b"\x30\x85\0\0\0\0\0", b"hello, world"]
        {
            assert_eq!(end(other), None, "{other:?}");
        }
    }
}
