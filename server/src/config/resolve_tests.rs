//! Precedence and refusals, as tables.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::config::TlsConfig;
use std::ffi::OsString;
use std::net::Ipv4Addr;

type Pairs = &'static [(&'static str, &'static str)];

/// Resolves with these flags, variables and file; the data dir is given by flag unless it is named anywhere.
fn resolved(flags: Pairs, variables: Pairs, file: Option<&str>) -> Result<Resolved, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let mut given = Flags::default();
    for (name, value) in flags {
        given.values.entry((*name).to_owned()).or_default().push((*value).to_owned());
    }
    if let Some(text) = file {
        let path = directory.path().join("quorate.toml");
        std::fs::write(&path, text).unwrap();
        given.config_file = Some(path.to_str().unwrap().to_owned());
    }
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
    };
    let own_address = || Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    resolve(&given, &Surroundings { variable: &variable, own_address: &own_address })
}

fn config(flags: Pairs, variables: Pairs, file: Option<&str>) -> ServeConfig {
    resolved(flags, variables, file).unwrap().config
}

const DIRECTORY: (&str, &str) = ("data-dir", "/d");

#[test]
fn the_defaults() {
    let config = config(&[DIRECTORY], &[], None);
    let address = |text: &str| text.parse::<Address>().unwrap();
    let expected = ServeConfig {
        data_dir: "/d".into(),
        listen: address("127.0.0.1:8080"),
        raft_listen: address("127.0.0.1:9080"),
        advertise_http: address("127.0.0.1:8080"),
        advertise_raft: address("127.0.0.1:9080"),
        tls: TlsConfig::default(),
        tokens: None,
        probes_need_token: false,
        node_token_file: None,
        join_token_file: None,
        insecure: false,
        bootstrap: false,
        join: Vec::new(),
        name: None,
        max_value_bytes: 1_048_576,
        max_request_bytes: 4_194_304,
        max_pending_bytes: 268_435_456,
        max_pending_requests: 16_384,
        max_connections: 10_000,
        max_watchers: 8_000,
        max_txn_operations: 128,
        history_revisions: 100_000,
        history_bytes: 64 << 20,
        idempotency_keys: 100_000,
        idempotency_bytes: 64 << 20,
        segment_bytes: 16 << 20,
        backup_bytes_per_second: 64 << 20,
        flight_recorder_bytes: 32 << 20,
        scrub_bytes_per_second: 1 << 20,
        keep_snapshots: 5,
        snapshot_entries: 200_000,
        election_timeout: Duration::from_millis(500),
        heartbeat_interval: Duration::from_millis(50),
        snapshot_bytes_per_second: 134_217_728,
        remove_dead_voters_after: None,
        min_voters: 3,
        otlp_endpoint: None,
        log: LogConfig { format: LogFormat::Auto, level: "info".to_owned() },
    };
    assert_eq!(config, expected);
}

#[test]
fn the_first_place_that_has_a_setting_wins() {
    const FLAG: Pairs = &[DIRECTORY, ("listen", "127.0.0.1:1001")];
    const OURS_AND_SEED: Pairs = &[("QUORATE_LISTEN", "127.0.0.1:1002"), ("PORT", "1003")];
    const EMPTY_AND_SEED: Pairs = &[("QUORATE_LISTEN", ""), ("PORT", "1003")];
    const EMPTY: Pairs = &[("QUORATE_LISTEN", ""), ("PORT", ""), ("HOST", "")];
    let file = Some("listen = \"127.0.0.1:1004\"");
    let environment = |names: &str| Some(Origin::Environment(names.to_owned()));
    let cases = [
        (FLAG, OURS_AND_SEED, file, 1001, Some(Origin::Flag)),
        (&[DIRECTORY][..], OURS_AND_SEED, file, 1002, environment("QUORATE_LISTEN")),
        (&[DIRECTORY], EMPTY_AND_SEED, file, 1003, environment("PORT")),
        (&[DIRECTORY], EMPTY, None, 8080, None),
    ];
    for (flags, variables, file, port, origin) in cases {
        let resolved = resolved(flags, variables, file).unwrap();
        assert_eq!(resolved.config.listen.port(), port);
        assert_eq!(resolved.origins.get("listen"), origin.as_ref());
        assert_eq!(resolved.config.raft_listen.port(), port + 1000);
    }
    let from_file = resolved(&[DIRECTORY], EMPTY, file).unwrap();
    assert_eq!(from_file.config.listen.port(), 1004);
    assert!(matches!(from_file.origins["listen"], Origin::File(_)));
}

#[test]
fn the_seed_s_variables_work() {
    let config = config(
        &[],
        &[
            ("STORAGE_PATH", "/seed"),
            ("HOST", "node-1"),
            ("PORT", "80"),
            ("RAFT_PORT", "81"),
            ("RAFT_LEADER", "http://node-2:80"),
        ],
        None,
    );
    assert_eq!(config.data_dir, PathBuf::from("/seed"));
    assert_eq!(config.listen.to_string(), "node-1:80");
    assert_eq!(config.raft_listen.to_string(), "node-1:81");
    assert_eq!(config.join, ["http://node-2:80".parse().unwrap()]);
}

#[test]
fn an_empty_raft_leader_is_unset_and_founds_nothing() {
    let config = config(&[DIRECTORY], &[("RAFT_LEADER", "")], None);
    assert_eq!((config.join, config.bootstrap), (Vec::new(), false));
}

#[test]
fn half_an_address_from_the_seed_takes_the_other_half_from_the_default() {
    for (variables, expected) in [
        (&[("HOST", "::1")][..], "[::1]:8080"),
        (&[("HOST", "[::1]")], "[::1]:8080"),
        (&[("PORT", "99")], "127.0.0.1:99"),
    ] {
        assert_eq!(config(&[DIRECTORY], variables, None).listen.to_string(), expected);
    }
}

#[test]
fn the_peers_port_is_any_free_one_where_there_is_no_default() {
    for (listen, raft_port) in [("127.0.0.1:0", 0), ("127.0.0.1:64536", 0), ("127.0.0.1:64535", 65535)] {
        let mut flags = Flags::default();
        flags.values.insert("data-dir".to_owned(), vec!["/d".to_owned()]);
        flags.values.insert("listen".to_owned(), vec![listen.to_owned()]);
        let surroundings = Surroundings { variable: &|_| None, own_address: &|| None };
        assert_eq!(resolve(&flags, &surroundings).unwrap().config.raft_listen.port(), raft_port, "{listen}");
    }
}

#[test]
fn ports_that_the_system_chose_are_filled_in() {
    let config = config(&[DIRECTORY, ("listen", "localhost:0")], &[], None);
    assert_eq!(config.advertised_url(4001).to_string(), "http://localhost:4001");
    assert_eq!(config.advertised_raft(4002).to_string(), "localhost:4002");
    let fixed = super::tests::config(&[DIRECTORY, ("advertise-url", "http://proxy:80")], &[], None);
    assert_eq!(fixed.advertised_url(4001).to_string(), "http://proxy:80");
}

#[test]
fn joins_come_as_repeated_flags_commas_or_a_list() {
    let expected: Vec<Endpoint> = vec!["http://a:1".parse().unwrap(), "http://b:2".parse().unwrap()];
    let by_flag = config(&[DIRECTORY, ("join", "http://a:1"), ("join", "http://b:2")], &[], None);
    let by_variable = config(&[DIRECTORY], &[("QUORATE_JOIN", "http://a:1, http://b:2")], None);
    let by_file = config(&[DIRECTORY], &[], Some("join = [\"http://a:1\", \"http://b:2\"]"));
    for config in [by_flag, by_variable, by_file] {
        assert_eq!(config.join, expected);
    }
}

#[test]
fn a_file_takes_texts_numbers_and_switches() {
    let file = "data-dir = '/f'\nbootstrap = true\nmax-value-bytes = 1000\nkeep-snapshots = 2\nelection-timeout = '2s'";
    let config = config(&[], &[], Some(file));
    assert_eq!(config.data_dir, PathBuf::from("/f"));
    assert_eq!((config.bootstrap, config.max_value_bytes, config.keep_snapshots), (true, 1000, 2));
    assert_eq!(config.election_timeout, Duration::from_secs(2));
}

#[test]
fn dead_voters_stay_unless_somebody_says_otherwise() {
    const GIVEN: Pairs =
        &[DIRECTORY, ("remove-dead-voters-after", "2d"), ("min-voters", "5"), ("snapshot-rate", "1MiB")];
    let config = config(GIVEN, &[], None);
    assert_eq!(config.remove_dead_voters_after, Some(Duration::from_hours(48)));
    assert_eq!((config.min_voters, config.snapshot_bytes_per_second), (5, 1 << 20));
}

#[test]
fn the_peers_host_follows_the_advertised_url() {
    let flags = &[DIRECTORY, ("listen", "0.0.0.0:80"), ("advertise-url", "http://node-1.lan:8000")];
    let config = config(flags, &[], None);
    assert_eq!(config.advertise_http.to_string(), "node-1.lan:8000");
    assert_eq!(config.advertise_raft.to_string(), "node-1.lan:1080");
}

#[test]
fn wildcards_are_never_advertised_and_the_right_flag_is_shown() {
    let cases: [(Pairs, &str); 5] = [
        (&[("listen", "0.0.0.0:80")], "for example --advertise-url http://192.0.2.7:80"),
        (&[("listen", "[::]:80")], "for example --advertise-url http://192.0.2.7:80"),
        (&[("listen", "0.0.0.0:0")], "for example --advertise-url http://192.0.2.7:PORT"),
        (&[("advertise-url", "http://0.0.0.0:80")], "--advertise-url is 0.0.0.0:80"),
        (&[("advertise-raft", "[::]:81")], "for example --advertise-raft 192.0.2.7:81"),
    ];
    for (flags, expected) in cases {
        let error = resolved(flags, &[("QUORATE_DATA_DIR", "/d")], None).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_usage(), "{error}");
    }
    let error = resolved(&[DIRECTORY], &[("HOST", "0.0.0.0")], None).unwrap_err();
    assert!(error.to_string().starts_with("the environment variable HOST is 0.0.0.0:8080"), "{error}");
}

#[test]
fn the_limits_of_the_store_come_from_everywhere_and_are_checked() {
    let variables: Pairs = &[("QUORATE_DATA_DIR", "/d"), ("QUORATE_HISTORY_BYTES", "1GiB")];
    let flags: Pairs = &[("history-revisions", "0"), ("max-txn-operations", "10000")];
    let file = "idempotency-keys = 5\nidempotency-bytes = \"1MiB\"";
    let config = resolved(flags, variables, Some(file)).unwrap().config;
    assert_eq!((config.history_revisions, config.history_bytes), (0, 1 << 30));
    assert_eq!((config.idempotency_keys, config.idempotency_bytes), (5, 1 << 20));
    assert_eq!(config.max_txn_operations, 10_000);
    let bad: [(Pairs, &str); 6] = [
        (&[("max-txn-operations", "10001")], "at most 10000"),
        (&[("max-txn-operations", "0")], "from 1 on"),
        (&[("history-revisions", "-1")], "whole number"),
        (&[("history-bytes", "64MB")], "1MiB"),
        (&[("idempotency-keys", "many")], "whole number"),
        (&[("idempotency-bytes", "x")], "1MiB"),
    ];
    for (flags, expected) in bad {
        let error = resolved(flags, &[("QUORATE_DATA_DIR", "/d")], None).unwrap_err().to_string();
        let (flag, value) = flags[0];
        let place = format!("--{flag} has the value {value:?}");
        assert!(error.contains(&place) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_bad_value_names_its_place_itself_and_what_to_write() {
    type Case = (Pairs, Pairs, Option<&'static str>, bool, &'static [&'static str]);
    let cases: [Case; 18] = [
        (&[("listen", "8080")], &[], None, true, &["--listen has the value \"8080\"", "127.0.0.1:8080"]),
        (
            &[],
            &[("QUORATE_LISTEN", "x:y")],
            None,
            false,
            &["the environment variable QUORATE_LISTEN", "\"x:y\""],
        ),
        (
            &[],
            &[("PORT", "http")],
            None,
            false,
            &["the environment variable PORT", "\"http\" is not a number"],
        ),
        (
            &[],
            &[("RAFT_LEADER", "node-2:80")],
            None,
            false,
            &["RAFT_LEADER", "write for example http://node-2:80"],
        ),
        (
            &[],
            &[],
            Some("election-timeout = 5"),
            false,
            &["\"election-timeout\" in the file", "write for example 5s"],
        ),
        (&[("election-timeout", "2h")], &[], None, true, &["from 1ms to 60s"]),
        (&[("segment-bytes", "64KiB")], &[], None, true, &["from 128KiB to 1GiB"]),
        (&[("segment-bytes", "130000")], &[], None, true, &["multiple of 4KiB"]),
        (&[("keep-snapshots", "0")], &[], None, true, &["from 1 on"]),
        (&[("min-voters", "0")], &[], None, true, &["from 1 on"]),
        (&[("flight-recorder-bytes", "1MiB")], &[], None, true, &["0 for none"]),
        (&[("snapshot-rate", "1KiB")], &[], None, true, &["at least 64KiB"]),
        (&[("remove-dead-voters-after", "400d")], &[], None, true, &["from 1ms to 365d"]),
        (&[("log-level", "inof")], &[], None, true, &["\"inof\"", "error, warn, info"]),
        (&[("max-value-bytes", "1GiB")], &[], None, true, &["at most 64MiB"]),
        (&[("flight-recorder-bytes", "2GiB")], &[], None, true, &["more than 1GiB"]),
        (&[], &[("QUORATE_BOOTSTRAP", "maybe")], None, false, &["QUORATE_BOOTSTRAP", "true or false"]),
        (&[("advertise-raft", "a:0")], &[], None, true, &["port 0"]),
    ];
    for (flags, variables, file, usage, expected) in cases {
        let file = format!("data-dir = '/d'\n{}", file.unwrap_or_default());
        let error = resolved(flags, variables, Some(&file)).unwrap_err();
        for part in expected {
            assert!(error.to_string().contains(part), "{error} lacks {part}");
        }
        assert_eq!(error.is_usage(), usage, "{error}");
    }
}

#[test]
#[cfg(feature = "otel")]
fn telemetry_over_https_needs_a_ca() {
    const COLLECTOR: (&str, &str) = ("otlp-endpoint", "https://collector:4318/x");
    let error = resolved(&[DIRECTORY, COLLECTOR], &[], None).unwrap_err().to_string();
    assert!(error.contains("--otlp-endpoint is https://collector:4318/x, and neither --tls-ca"), "{error}");
    let config = config(&[DIRECTORY, COLLECTOR, ("tls-ca", "/ca.pem")], &[], None);
    assert_eq!(config.otlp_endpoint.unwrap().traces(), "/x/v1/traces");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let cases: [(Pairs, &str); 5] = [
        (&[DIRECTORY, ("remove-dead-voters-after", "900ms")], "at least --remove-dead-voters-after 1s"),
        (&[DIRECTORY, ("raft-listen", "127.0.0.1:8080")], "different ports"),
        (&[DIRECTORY, ("election-timeout", "100ms")], "at least --election-timeout 150ms"),
        (&[DIRECTORY, ("max-value-bytes", "5MiB")], "raise --max-request-bytes"),
        (&[DIRECTORY, ("max-pending-bytes", "7MiB")], "at least --max-pending-bytes 8388608"),
    ];
    for (flags, expected) in cases {
        let error = resolved(flags, &[], None).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn without_a_data_dir_it_is_a_usage_error() {
    let error = resolved(&[], &[], None).unwrap_err();
    assert!(error.is_usage());
    assert_eq!(error.to_string(), "data-dir is needed: give --data-dir, or set QUORATE_DATA_DIR");
}

#[test]
fn a_file_that_can_t_be_used_is_named() {
    let cases = [
        ("listen = ", "is not TOML"),
        ("lisen = '127.0.0.1:1'", "the key \"lisen\", which is no setting: did you mean \"listen\"?"),
        ("keep-snapshots = 1.5", "the value of \"keep-snapshots\" must be"),
        ("name = ['a', 'b']", "give one value, not a list"),
    ];
    for (text, expected) in cases {
        let error = resolved(&[DIRECTORY], &[], Some(text)).unwrap_err();
        assert!(
            error.to_string().contains(expected) && error.to_string().contains("quorate.toml"),
            "{error}"
        );
        assert!(!error.is_usage());
    }
    let flags = Flags { config_file: Some("/no/such/file".to_owned()), ..Flags::default() };
    let surroundings = Surroundings { variable: &|_| None, own_address: &|| None };
    let error = resolve(&flags, &surroundings).unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let variable = |name: &str| (name == "QUORATE_NAME").then(|| OsString::from_vec(vec![0xff]));
    let mut flags = Flags::default();
    flags.values.insert("data-dir".to_owned(), vec!["/d".to_owned()]);
    let error = resolve(&flags, &Surroundings { variable: &variable, own_address: &|| None }).unwrap_err();
    assert!(error.to_string().contains("QUORATE_NAME") && error.to_string().contains("not UTF-8"), "{error}");
}
