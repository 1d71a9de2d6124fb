//! Writers that fill a cluster, and a ledger of what was acknowledged to them.
//!
//! Unlike [`crate::workload`], it keeps no history: each key has one writer, so what a key may hold afterwards is its
//! last acknowledged value, or the one that was on its way when the cluster was ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use quorate_sim::random::Random;

use crate::deadline::wait_until;
use crate::http::Client;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
const KEYS_PER_WRITER: usize = 8;

/// Who writes what.
#[derive(Clone, Debug)]
pub struct Load {
    /// The nodes; each writer keeps to one of them.
    pub addresses: Vec<SocketAddr>,
    /// How many write at the same time.
    pub writers: usize,
    /// The largest value, in bytes.
    pub value_bytes: usize,
    /// Makes sizes repeatable; loads with different seeds have different keys.
    pub seed: u64,
}

/// Writers at work.
#[derive(Debug)]
pub struct Loading {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Ledger>>,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The last value that was acknowledged, by key.
    acknowledged: BTreeMap<String, String>,
    /// A later one of which nobody knows.
    unsure: BTreeMap<String, String>,
}

impl Load {
    /// Starts the writers. Each goes on until it is told to stop, or all of its keys are unsure.
    pub fn start(&self) -> Loading {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers = (0..self.writers).map(|writer| {
            let (load, stop, acknowledged) = (self.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
            std::thread::spawn(move || load.write(writer, &stop, &acknowledged))
        });
        let writers = writers.collect();
        Loading { stop, acknowledged, writers }
    }

    fn write(&self, writer: usize, stop: &AtomicBool, acknowledged: &AtomicU64) -> Ledger {
        let mut random = Random::new(self.seed.wrapping_mul(1_000) + writer as u64);
        let address = self.addresses[writer % self.addresses.len()];
        let mut client = Client::with_timeout(address, ANSWER_TIMEOUT);
        let mut ledger = Ledger::default();
        let key = |key| format!("load{}-{writer}-{key}", self.seed);
        let mut keys: Vec<String> = (0..KEYS_PER_WRITER).map(key).collect();
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) && !keys.is_empty() {
            count += 1;
            let chosen = count % keys.len();
            let key = keys[chosen].clone();
            let mut value = format!("{key}.{count}.");
            let filler = random.below(self.value_bytes);
            value.extend(std::iter::repeat_n('x', filler));
            match client.request("POST", &format!("/key/{key}"), value.as_bytes()) {
                Ok(answer) if answer.status == 200 => {
                    ledger.acknowledged.insert(key, value);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                _ => {
                    keys.swap_remove(chosen);
                    ledger.unsure.insert(key, value);
                }
            }
        }
        ledger
    }
}

impl Loading {
    /// Waits until so many writes were acknowledged.
    ///
    /// # Panics
    /// When they are not within `limit`.
    #[track_caller]
    pub fn wait_for(&self, count: u64, limit: Duration) {
        wait_until(&format!("{count} writes"), limit, || {
            (self.acknowledged.load(Ordering::Relaxed) >= count).then_some(())
        });
    }

    /// How many writes were acknowledged up to now.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Lets every writer finish what it is at, and returns what all of them wrote.
    ///
    /// # Panics
    /// When a writer did.
    #[track_caller]
    pub fn finish(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        for writer in self.writers {
            let ledger = writer.join().expect("a writer ends by itself");
            all.extend(ledger);
        }
        all
    }
}

impl Ledger {
    /// Adds what was written to other keys.
    pub fn extend(&mut self, other: Ledger) {
        self.acknowledged.extend(other.acknowledged);
        self.unsure.extend(other.unsure);
    }

    /// A value was acknowledged.
    pub fn acknowledge(&mut self, key: String, value: String) {
        self.unsure.remove(&key);
        self.acknowledged.insert(key, value);
    }

    /// Nobody knows whether this value was written. Until one is acknowledged, the key must not be written again.
    pub fn attempt(&mut self, key: String, value: String) {
        self.unsure.insert(key, value);
    }

    /// How many keys have an acknowledged value.
    pub fn keys(&self) -> usize {
        self.acknowledged.len()
    }

    /// Compares an export of a node with what was acknowledged.
    ///
    /// # Errors
    /// The first key that holds something else, and what.
    pub fn check(&self, export: &serde_json::Value) -> Result<(), String> {
        for (key, expected) in &self.acknowledged {
            let found = export.get(base64url(key)).and_then(serde_json::Value::as_str);
            let is = |value: &String| found == Some(&*base64url(value));
            if !is(expected) && !self.unsure.get(key).is_some_and(is) {
                let length = found.map(str::len);
                return Err(format!(
                    "{key} does not hold {expected:.30?} but a value of {length:?} characters of base64"
                ));
            }
        }
        Ok(())
    }
}

/// Padded base64url (RFC 4648 §5), as `data.json` has it.
pub fn base64url(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |at: usize| u32::from(*chunk.get(at).unwrap_or(&0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) & 63;
            encoded.push(if place <= chunk.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    encoded
}

/// A `data.json` with these keys and values.
pub fn data_json(pairs: &[(String, String)]) -> Vec<u8> {
    let members = pairs.iter().map(|(key, value)| (base64url(key), base64url(value).into()));
    let members: serde_json::Map<String, serde_json::Value> = members.collect();
    serde_json::Value::from(members).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("?>~", "Pz5-")];
        for (text, encoded) in cases {
            assert_eq!(base64url(text), encoded, "{text}");
        }
    }

    #[test]
    fn a_value_that_was_acknowledged_must_be_there_or_the_one_that_was_on_its_way() {
        let entry = |value: &str| BTreeMap::from([("a".to_owned(), value.to_owned())]);
        let ledger = Ledger { acknowledged: entry("1"), unsure: entry("2") };
        let export = |value: &str| serde_json::json!({ base64url("a"): base64url(value) });
        assert_eq!(ledger.check(&export("1")), Ok(()));
        assert_eq!(ledger.check(&export("2")), Ok(()));
        assert!(ledger.check(&export("0")).is_err());
        assert!(ledger.check(&serde_json::json!({})).is_err());
    }
}
