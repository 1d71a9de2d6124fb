//! Targets whose bodies need what is private to a crate, and so live there.

/// Takes the data for a segment file of the log.
pub fn wal_decode(data: &[u8]) {
    quorate_storage::fuzzing::wal_decode(data);
}

/// Takes the data for a backup.
pub fn backup_decode(data: &[u8]) {
    quorate_storage::fuzzing::backup_decode(data);
}

/// Takes the data for a `data.json`.
pub fn data_json(data: &[u8]) {
    quorate_storage::fuzzing::data_json(data);
}

/// Takes the data for an HTTP request.
pub fn request_parse(data: &[u8]) {
    quorate_server::fuzzing::request_parse(data);
}
