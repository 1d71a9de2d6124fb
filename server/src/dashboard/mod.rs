//! The dashboard: one page, put together when this crate is compiled, that a browser gets at `/`.
//!
//! It is plain HTML, CSS and JavaScript, in files a person can read, with no build step and nothing from elsewhere. The
//! browser is told to run and to fetch nothing else (`policy`): style and script are named by their hashes, so that
//! whatever a value might smuggle into the page is no script of ours. Why it is built so: `docs/adr/0013-dashboard.md`.
//!
//! | file | what it holds |
//! |---|---|
//! | `page.html`, `page.css` | the page without its data, and how it looks |
//! | `script/dom.js`, `script/format.js` | making elements; numbers, times and names as text |
//! | `script/session.js` | requests to this node, the token, the stream of events |
//! | `script/health.js` | what is wrong with a cluster, and what to do about it |
//! | `script/charts.js` | the last minute as lines |
//! | `script/nodes.js`, `script/events.js` | the table of nodes; what has happened |
//! | `script/keys.js`, `script/entry.js` | the list of keys; one key, read and changed |
//! | `script/main.js` | what is done when |

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

/// The page, and what is said of it.
#[derive(Debug)]
pub(crate) struct Page {
    /// The document.
    pub(crate) text: &'static str,
    /// Its `Content-Security-Policy`.
    pub(crate) policy: String,
    /// Its `ETag`.
    pub(crate) tag: String,
}

const STYLE: &str = include_str!("page.css");

const SCRIPT: &str = concat!(
    include_str!("script/dom.js"),
    include_str!("script/format.js"),
    include_str!("script/session.js"),
    include_str!("script/health.js"),
    include_str!("script/charts.js"),
    include_str!("script/nodes.js"),
    include_str!("script/events.js"),
    include_str!("script/keys.js"),
    include_str!("script/entry.js"),
    include_str!("script/main.js"),
);

/// Where style and script belong in the document.
const STYLE_HERE: &str = "/* page.css */";
const SCRIPT_HERE: &str = "/* script */";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    include_str!("page.html").replacen(STYLE_HERE, STYLE, 1).replacen(SCRIPT_HERE, SCRIPT, 1)
});

static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    text: TEXT.as_str(),
    policy: policy(&source_of(STYLE), &source_of(SCRIPT)),
    tag: format!("\"{}\"", &blake3::hash(TEXT.as_bytes()).to_hex()[..32]),
});

/// The page.
pub(crate) fn page() -> &'static Page {
    &PAGE
}

/// Nothing but this style and this script, and requests to where the page came from. Strings never become markup
/// (`trusted-types`), so a value that is shown can't be more than text; the icon is the one image.
fn policy(style: &str, script: &str) -> String {
    let rules = [
        "default-src 'none'",
        &format!("style-src {style}"),
        &format!("script-src {script}"),
        "connect-src 'self'",
        "img-src data:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    rules.join("; ")
}

/// How a policy names an inline script or style: by its hash.
fn source_of(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())))
}

/// Policies know SHA-2 alone, and TLS, which is here anyway, has it.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
        unreachable!("the suite is one of TLS 1.3, as its name says");
    };
    suite.common.hash_provider.hash(bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// What is between a tag and its end: the browser hashes just that.
    fn inside<'a>(document: &'a str, open: &str, close: &str) -> &'a str {
        let (before, rest) = document.split_once(open).unwrap();
        assert!(!before.contains(close) && rest.matches(open).count() == 0, "{open} is there once");
        rest.split_once(close).unwrap().0
    }

    #[test]
    fn the_hash_is_sha_256() {
        // The example of FIPS 180-2, appendix B.1.
        let digest = sha256(b"abc").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_policy_names_what_stands_in_the_page() {
        let Page { text, policy, .. } = page();
        for (directive, open, close) in
            [("style-src", "<style>", "</style>"), ("script-src", "<script type=\"module\">", "</script>")]
        {
            let source = source_of(inside(text, open, close));
            assert!(policy.contains(&format!("{directive} {source};")), "{directive} {source}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(policy.matches("http").count(), 0, "{policy}");
    }

    /// The document has no other script, no handler and no style in an attribute, which the policy would refuse; and
    /// nothing of it comes from elsewhere.
    #[test]
    fn the_page_needs_nothing_else() {
        let document = include_str!("page.html");
        for word in ["<script", "<style"] {
            assert_eq!(document.matches(word).count(), 1, "{word}");
        }
        for word in [" style=", " on", "src=", "@import", "url("] {
            let found = document.match_indices(word).any(|(at, _)| {
                let tag = document[..at].rfind('<').unwrap();
                !document[tag..at].contains('>') || word == "@import"
            });
            assert!(!found, "{word} in the document");
        }
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"]
        {
            assert!(!SCRIPT.contains(word), "{word} in the script");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        let addresses = page().text.matches("://").count();
        assert_eq!(
            addresses,
            page().text.matches("http://www.w3.org/2000/svg").count(),
            "an address of others"
        );
    }
}
