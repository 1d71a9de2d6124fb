//! Endpoints that answer as they are told, and what the command makes of that.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;

use quorate_node::raft::LogId;
use quorate_storage::backup::{Header, Verifier};

use super::*;

/// A whole backup.
fn sample() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/backup-1")).unwrap()
}

fn header_of(file: &[u8]) -> Header {
    Header::decode(file.first_chunk().unwrap()).unwrap()
}

/// The same store, some entries later.
fn later() -> Vec<u8> {
    let mut file = sample();
    let header = Header { last: LogId::new(2, 99), ..header_of(&file) };
    file[..512].copy_from_slice(&header.encode());
    file
}

/// The answer to a request for a new backup.
fn whole(file: &[u8]) -> Vec<u8> {
    let tag = header_of(&sample()[..512]).tag();
    let tag = file.first_chunk().and_then(|bytes| Header::decode(bytes).ok()).map_or(tag, |it| it.tag());
    let length = file.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\netag: \"{tag}\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), file].concat()
}

fn unchanged() -> Vec<u8> {
    b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_vec()
}

fn refused(status: &str, code: &str) -> Vec<u8> {
    let body = format!("{{\"error\":\"not here\",\"code\":\"{code}\"}}");
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

/// Somebody who gives these answers, the last one again and again, and tells the heads of the requests.
fn endpoint(answers: Vec<Vec<u8>>) -> (Endpoint, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, heads) = mpsc::channel();
    std::thread::spawn(move || {
        for number in 0.. {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            // The test may be over.
            let _ = asked.send(String::from_utf8(head).unwrap().to_ascii_lowercase());
            let _ = stream.write_all(&answers[number.min(answers.len() - 1)]);
        }
    });
    (url.parse().unwrap(), heads)
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn take(&self, endpoints: Vec<Endpoint>) -> Result<Record, Failure> {
        take(&BackupCommand {
            file: self.file(),
            overwrite: false,
            consistency: Consistency::Linearizable,
            rate: None,
            endpoints,
            timeout: Duration::from_secs(2),
            tls: TlsFlags::default(),
            output: OutputFlags { output: Output::Json },
        })
    }

    /// How it ended, and what was said.
    fn failure(&self, endpoints: Vec<Endpoint>) -> (Exit, String) {
        match self.take(endpoints) {
            Err(Failure::Ended(exit, message)) => (exit, message),
            other => panic!("{other:?}"),
        }
    }
}

/// It may be of last year: whoever runs the command wants the store as it is now.
#[test]
fn a_whole_one_that_was_left_is_taken_only_if_it_is_what_the_store_has() {
    for (answer, expected, resumed) in
        [(unchanged(), sample(), sample().len()), (whole(&later()), later(), 0)]
    {
        let scene = Scene::new();
        fs::write(with_partial(&scene.file()), sample()).unwrap();
        let (endpoint, heads) = endpoint(vec![answer]);
        let record = scene.take(vec![endpoint]).unwrap();
        assert!(fs::read(scene.file()).unwrap() == expected);
        assert_eq!((record.index, record.resumed_bytes), (header_of(&expected).last.index.0, resumed as u64));
        let head = heads.recv_timeout(Duration::from_secs(10)).expect("it asks");
        let condition = format!("if-none-match: \"{}\"", header_of(&sample()).tag());
        assert!(head.contains(&condition) && !head.contains("range:"), "{head}");
        assert!(heads.try_recv().is_err(), "asked once");
        assert_eq!(fs::read_dir(scene.folder.path()).unwrap().count(), 1, "nothing else is left");
    }
    let scene = Scene::new();
    fs::write(with_partial(&scene.file()), sample()).unwrap();
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (exit, message) = scene.failure(vec![nobody.parse().unwrap()]);
    assert_eq!(exit, Exit::Unavailable);
    assert!(message.contains(&nobody) && message.contains("backup.partial is a whole backup"), "{message}");
    assert!(fs::read(with_partial(&scene.file())).unwrap() == sample() && !scene.file().exists());
}

/// The last node dies in the middle, for good: what there was, is all that will ever be there.
#[test]
fn a_whole_one_that_is_of_the_past_is_kept_until_the_new_one_is_whole() {
    let scene = Scene::new();
    let kept = scene.folder.path().join("backup.partial.whole");
    fs::write(with_partial(&scene.file()), sample()).unwrap();
    let (all, half) = (whole(&later()), later().len() / 2);
    let cut_off = all[..all.len() - half].to_vec();
    let (dying, _) = endpoint(vec![cut_off, Vec::new()]);
    let (exit, message) = scene.failure(vec![dying]);
    assert_eq!(exit, Exit::Unavailable);
    assert!(message.contains("backup.partial.whole is a whole backup"), "{message}");
    assert!(fs::read(&kept).unwrap() == sample() && !scene.file().exists());
    let come = fs::read(with_partial(&scene.file())).unwrap();
    assert!(later().starts_with(&come) && come.len() >= 512, "{} bytes have come", come.len());

    // Another run goes on behind what has come.
    let (tag, rest) = (header_of(&later()).tag(), &later()[come.len()..]);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\netag: \"{tag}\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        rest.len()
    );
    let (other, _) = endpoint(vec![[head.as_bytes(), rest].concat()]);
    let record = scene.take(vec![other]).unwrap();
    assert_eq!(record.resumed_bytes, come.len() as u64);
    assert!(fs::read(scene.file()).unwrap() == later() && !kept.exists());
}

#[test]
fn an_endpoint_that_refuses_does_not_end_what_another_can_do() {
    let scene = Scene::new();
    let no = || refused("404 Not Found", "route_not_found");
    let ((one, _), (other, _)) = (endpoint(vec![no()]), endpoint(vec![whole(&sample())]));
    scene.take(vec![one, other]).unwrap();
    assert!(fs::read(scene.file()).unwrap() == sample());

    let scene = Scene::new();
    let ((one, _), (other, _)) =
        (endpoint(vec![no()]), endpoint(vec![refused("403 Forbidden", "forbidden")]));
    let (exit, message) = scene.failure(vec![one.clone(), other.clone()]);
    assert_eq!(exit, Exit::Failed);
    for word in [one.to_string(), other.to_string(), "route_not_found".to_owned(), "forbidden".to_owned()] {
        assert!(message.contains(&word), "no {word:?} in {message}");
    }
}

/// The checksum, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |rest: u32| (rest >> 1) ^ if rest & 1 == 1 { 0x82f6_3b78 } else { 0 };
    let all =
        bytes.iter().fold(u32::MAX, |rest, byte| (0..8).fold(rest ^ u32::from(*byte), |rest, _| step(rest)));
    !all
}

/// A node of a later release, while others are not there yet.
#[test]
fn an_endpoint_with_another_version_of_the_format_is_one_that_refuses() {
    let mut newer = sample();
    newer[12] = 9;
    let checksum = crc32c(&newer[12..512]);
    newer[8..12].copy_from_slice(&checksum.to_le_bytes());
    let scene = Scene::new();
    let ((one, _), (other, _)) = (endpoint(vec![whole(&newer)]), endpoint(vec![whole(&sample())]));
    scene.take(vec![one.clone(), other]).unwrap();
    let mut verifier = Verifier::new();
    verifier.feed(&fs::read(scene.file()).unwrap()).unwrap();
    verifier.finish().unwrap();

    let scene = Scene::new();
    let (exit, message) = scene.failure(vec![one]);
    assert_eq!(exit, Exit::BadConfiguration);
    assert!(message.contains("version 9") && message.contains("the release that wrote it"), "{message}");
}
