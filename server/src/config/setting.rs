//! The table of settings.

/// How often a setting may be given, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Single,
    /// Any number of values: the flag repeated, a list in the file, commas in the environment.
    List,
    /// On or off; the flag takes no value.
    Switch,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag's long name, and the key in the file.
    pub name: &'static str,
    /// What stands for the value in the help.
    pub placeholder: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// One line of help, in which the default is named.
    pub help: &'static str,
}

impl Setting {
    /// The environment variable of this setting.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable of a flag: `QUORATE_` and its name in upper snake case.
pub(crate) fn variable(flag: &str) -> String {
    format!("QUORATE_{}", flag.replace('-', "_").to_ascii_uppercase())
}

const fn setting(name: &'static str, placeholder: &'static str, shape: Shape, help: &'static str) -> Setting {
    Setting { name, placeholder, shape, help }
}

/// All settings of a node, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    setting("data-dir", "DIR", Shape::Single, "Where the node keeps its data; needed"),
    setting("listen", "HOST:PORT", Shape::Single, "Where to serve HTTP [default: 127.0.0.1:8080]"),
    setting(
        "raft-listen",
        "HOST:PORT",
        Shape::Single,
        "Where to serve peers [default: the HTTP port + 1000, or any free port when there is none]",
    ),
    setting(
        "advertise-url",
        "URL",
        Shape::Single,
        "The base URL that others are told [default: where HTTP is served]",
    ),
    setting(
        "advertise-raft",
        "HOST:PORT",
        Shape::Single,
        "The address that peers are told [default: where peers are served]",
    ),
    setting(
        "tls-cert",
        "FILE",
        Shape::Single,
        "Serve HTTPS with this certificate and what leads to its CA, as PEM; read again at SIGHUP [default: plain HTTP]",
    ),
    setting("tls-key", "FILE", Shape::Single, "The key of --tls-cert, as PEM"),
    setting(
        "tls-client-ca",
        "FILE",
        Shape::Single,
        "Take HTTP clients with a certificate of this CA, and peers, and nobody else [default: everybody may connect]",
    ),
    setting(
        "tls-ca",
        "FILE",
        Shape::Single,
        "The CA of the other nodes' --tls-cert [default: the one of --peer-tls-ca]",
    ),
    setting(
        "peer-tls-cert",
        "FILE",
        Shape::Single,
        "Speak TLS with peers and show them this certificate; it is for servers and clients [default: plain links]",
    ),
    setting("peer-tls-key", "FILE", Shape::Single, "The key of --peer-tls-cert"),
    setting("peer-tls-ca", "FILE", Shape::Single, "The CA of the peers' certificates"),
    setting(
        "tokens",
        "FILE",
        Shape::Single,
        "Ask HTTP clients for one of the tokens in this file; read again at SIGHUP [default: ask nobody]",
    ),
    setting(
        "probes-need-token",
        "",
        Shape::Switch,
        "Ask for a token also at /livez and /readyz, which are open otherwise",
    ),
    setting(
        "node-token-file",
        "FILE",
        Shape::Single,
        "The token that this node shows to others, where its peers' certificate does not reach; read again at SIGHUP",
    ),
    setting(
        "insecure",
        "",
        Shape::Switch,
        "Listen for everybody, not only on loopback, also on a port that lets anybody in",
    ),
    setting("bootstrap", "", Shape::Switch, "Found a new cluster of one node, when the data dir is empty"),
    setting(
        "join",
        "URL",
        Shape::List,
        "Join the cluster of this node, when the data dir is empty; repeatable",
    ),
    setting(
        "join-token-file",
        "FILE",
        Shape::Single,
        "The join token to show to that cluster, which `quorate token join` printed",
    ),
    setting("name", "NAME", Shape::Single, "A name for people to read"),
    setting("max-value-bytes", "SIZE", Shape::Single, "The largest value [default: 1MiB]"),
    setting("max-request-bytes", "SIZE", Shape::Single, "The largest request body [default: 4MiB]"),
    setting(
        "max-pending-bytes",
        "SIZE",
        Shape::Single,
        "Refuse requests while the bodies of others take up this much [default: 256MiB]",
    ),
    setting(
        "max-pending-requests",
        "N",
        Shape::Single,
        "Refuse requests while this many wait for the node [default: 16384]",
    ),
    setting(
        "max-connections",
        "N",
        Shape::Single,
        "Close the connection that is idle for longest when there are this many of HTTP [default: 10000]",
    ),
    setting("max-watchers", "N", Shape::Single, "The most watches [default: 8000]"),
    setting(
        "max-txn-operations",
        "N",
        Shape::Single,
        "The most comparisons, and the most operations for either end, of a transaction [default: 128]",
    ),
    setting(
        "history-revisions",
        "N",
        Shape::Single,
        "How many revisions back the past can be read; the leader's counts [default: 100000]",
    ),
    setting(
        "history-bytes",
        "SIZE",
        Shape::Single,
        "How much of what was overwritten or deleted is kept for that; the leader's counts [default: 64MiB]",
    ),
    setting(
        "idempotency-keys",
        "N",
        Shape::Single,
        "How many idempotency keys are remembered; the leader's counts [default: 100000]",
    ),
    setting(
        "idempotency-bytes",
        "SIZE",
        Shape::Single,
        "How much they and their answers may take up; the leader's counts [default: 64MiB]",
    ),
    setting(
        "segment-bytes",
        "SIZE",
        Shape::Single,
        "The size of one file of the log; with three more and room for a checkpoint in reserve [default: 16MiB]",
    ),
    setting("keep-snapshots", "N", Shape::Single, "How many checkpoints to keep [default: 5]"),
    setting(
        "snapshot-entries",
        "N",
        Shape::Single,
        "Take a checkpoint after this many entries [default: 200000]",
    ),
    setting(
        "election-timeout",
        "DURATION",
        Shape::Single,
        "Run for leader after hearing nothing for this long, to twice as long [default: 500ms]",
    ),
    setting(
        "heartbeat-interval",
        "DURATION",
        Shape::Single,
        "How often a leader makes itself heard [default: 50ms]",
    ),
    setting(
        "snapshot-rate",
        "SIZE",
        Shape::Single,
        "Send at most this much of checkpoints to other nodes in a second [default: 128MiB]",
    ),
    setting(
        "backup-rate",
        "SIZE",
        Shape::Single,
        "Send at most this much of backups in a second, all of them together [default: 64MiB]",
    ),
    setting(
        "scrub-rate",
        "SIZE",
        Shape::Single,
        "Read this much of the log on disk in a second, to find what has gone bad; 0 for none [default: 1MiB]",
    ),
    setting(
        "flight-recorder-bytes",
        "SIZE",
        Shape::Single,
        "Keep this much of the node's latest inputs in memory for `quorate debug record`; 0 for none [default: 32MiB]",
    ),
    setting(
        "remove-dead-voters-after",
        "DURATION",
        Shape::Single,
        "As leader, remove a voter that was not heard for this long [default: never]",
    ),
    setting(
        "min-voters",
        "N",
        Shape::Single,
        "Never remove a dead voter when fewer than this many would be left [default: 3]",
    ),
    setting(
        "otlp-endpoint",
        "URL",
        Shape::Single,
        "Where to send traces of requests, by OTLP over HTTP, in builds with the feature otel [default: no traces]",
    ),
    setting(
        "log-format",
        "FORMAT",
        Shape::Single,
        "text, json, or auto: text on a terminal only [default: auto]",
    ),
    setting(
        "log-level",
        "LEVEL",
        Shape::Single,
        "error, warn, info, debug, trace, or a filter [default: info]",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_variables_follow_them() {
        let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        assert_eq!(variable("max-value-bytes"), "QUORATE_MAX_VALUE_BYTES");
    }
}
