//! What went wrong, in words for whoever has to mend it.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// What TLS says in an error, if it says anything.
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(said) = error.downcast_ref() {
            return Some(said);
        }
        // An `io::Error` passes over what it was made of when it is asked for its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// The same error, in our words where TLS has caused it; [`tls_error`] still finds what TLS says.
pub fn explained(error: io::Error) -> io::Error {
    match tls_error(&error).cloned() {
        Some(said) => io::Error::new(error.kind(), Explained(said)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), CUT_OFF),
        None => error,
    }
}

/// In the middle of a handshake: later an end is one like others.
const CUT_OFF: &str =
    "the other side closed the connection during the TLS handshake: does it speak TLS on that port?";

#[derive(Debug)]
struct Explained(rustls::Error);

impl fmt::Display for Explained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&explain_tls(&self.0))
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Whether the other side has refused the handshake. With TLS 1.3 that may arrive when a request was sent already;
/// nothing of it was read then.
pub fn is_refused_handshake(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::AccessDenied
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRequired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::DecryptError
                | Alert::HandshakeFailure
                | Alert::NoApplicationProtocol
                | Alert::NoCertificate
                | Alert::ProtocolVersion
                | Alert::UnknownCA
                | Alert::UnrecognisedName
                | Alert::UnsupportedCertificate
        )
    )
}

/// What it means, and what to look at.
pub fn explain_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the other side does not speak TLS".to_owned()
        }
        rustls::Error::NoCertificatesPresented
        | rustls::Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            "the other side showed no certificate".to_owned()
        }
        rustls::Error::NoApplicationProtocol => {
            "the other side wants another protocol on this port".to_owned()
        }
        rustls::Error::InvalidCertificate(problem) => certificate(problem),
        rustls::Error::AlertReceived(alert) => alerted(*alert),
        other => other.to_string(),
    }
}

fn certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            "the certificate comes from no CA that is believed, or what leads to that CA is missing from its file"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the certificate comes from a CA that has the name of one that is believed, and is another".to_owned()
        }
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("the certificate expired {} ago", between(*not_after, *time))
        }
        CertificateError::NotValidYet => "the certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate is valid only in {}: is the clock of this machine right?",
            between(*time, *not_before)
        ),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the certificate does not name {}; it names {}",
            expected.to_str(),
            if presented.is_empty() { "nobody".to_owned() } else { presented.join(", ") }
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the certificate is for another use (extended key usage): {problem}")
        }
        other => format!("the certificate can't be believed: {other}"),
    }
}

/// A span of time, roughly.
fn between(earlier: UnixTime, later: UnixTime) -> String {
    let seconds = later.as_secs().saturating_sub(earlier.as_secs());
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn alerted(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            "the other side wants a certificate of its CA, and was shown none".to_owned()
        }
        Alert::UnknownCA => {
            "the other side does not believe the CA of the certificate it was shown".to_owned()
        }
        Alert::CertificateExpired => {
            "the other side says that the certificate it was shown has expired, or is not valid yet"
                .to_owned()
        }
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::DecryptError => {
            "the other side does not believe the certificate it was shown".to_owned()
        }
        Alert::UnsupportedCertificate => {
            "the other side says that the certificate it was shown is for another use".to_owned()
        }
        Alert::NoApplicationProtocol => "the other side speaks another protocol on that port".to_owned(),
        Alert::HandshakeFailure | Alert::ProtocolVersion => {
            format!("the other side wants another version or another kind of TLS ({alert:?})")
        }
        other => format!("the other side broke off the handshake: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_found_however_it_is_wrapped() {
        let said = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, said.clone()));
        assert_eq!(tls_error(&wrapped), Some(&said));
        assert_eq!(tls_error(&said), Some(&said));
        let explained = explained(wrapped);
        assert_eq!(tls_error(&explained), Some(&said));
        assert_eq!(explained.to_string(), explain_tls(&said));
        assert_eq!(tls_error(&io::Error::other("nothing of the kind")), None);
    }

    #[test]
    fn only_what_ends_a_handshake_proves_that_nothing_was_read() {
        let received = |alert| is_refused_handshake(&rustls::Error::AlertReceived(alert));
        assert!(received(AlertDescription::CertificateRequired) && received(AlertDescription::UnknownCA));
        for alert in
            [AlertDescription::CloseNotify, AlertDescription::BadRecordMac, AlertDescription::InternalError]
        {
            assert!(!received(alert), "{alert:?}");
        }
        let ours = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(!is_refused_handshake(&ours));
    }

    #[test]
    fn spans_are_told_in_units_that_fit() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let cases = [(5, "5 s"), (300, "5 min"), (10_800, "3 h"), (3 * 86_400, "3 days")];
        for (seconds, expected) in cases {
            assert_eq!(between(at(1_000), at(1_000 + seconds)), expected);
        }
        assert_eq!(between(at(10), at(5)), "0 s");
    }
}
