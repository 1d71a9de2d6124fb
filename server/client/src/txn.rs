//! Transactions: comparisons, and what is done when all of them hold, or not.

use crate::client::Client;
use crate::entry::{Entry, LeaseId, base64_text};
use crate::error::ClientError;
use crate::exchange::Call;
use crate::lease::ttl_text;
use bytes::Bytes;
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;

impl Client {
    /// Carries out a transaction. That a comparison did not hold is no error: the result tells.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// use quorate_client::{Compare, Operation, Relation, Transaction};
    ///
    /// let transfer = Transaction::new()
    ///     .when(Compare::value("alice", Relation::Equal, "10".into()))
    ///     .when(Compare::value("bob", Relation::Equal, "0".into()))
    ///     .then(Operation::put("alice", "7".into()))
    ///     .then(Operation::put("bob", "3".into()))
    ///     .otherwise(Operation::read("alice"));
    /// let result = client.transact(&transfer).await?;
    /// println!("done: {}", result.succeeded);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when it may or may not have been done; [`ClientError::Refused`] with the code
    /// `duplicate_key` …
    pub async fn transact(&self, transaction: &Transaction) -> Result<TransactionResult, ClientError> {
        let body = serde_json::to_vec(transaction).expect("a transaction is made of texts and numbers");
        self.transact_json(body.into()).await
    }

    /// Carries out a transaction that is JSON already, as in the body of `POST /txn`.
    ///
    /// # Errors
    /// As [`Client::transact`], and [`ClientError::Refused`] with the code `bad_json`.
    pub async fn transact_json(&self, body: Bytes) -> Result<TransactionResult, ClientError> {
        self.call_for(Call::write(Method::POST, "/txn".to_owned()).with_json(body)).await
    }
}

/// A transaction: when every comparison holds, the first list of operations is carried out, else the second; all of it
/// under one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[must_use = "nothing is done before it is given to `Client::transact`"]
pub struct Transaction {
    compare: Vec<Compare>,
    success: Vec<Operation>,
    failure: Vec<Operation>,
}

impl Transaction {
    /// One without comparisons, which always succeeds, and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a comparison.
    pub fn when(mut self, compare: Compare) -> Self {
        self.compare.push(compare);
        self
    }

    /// Adds what is done when all comparisons hold.
    pub fn then(mut self, operation: Operation) -> Self {
        self.success.push(operation);
        self
    }

    /// Adds what is done when one of them does not.
    pub fn otherwise(mut self, operation: Operation) -> Self {
        self.failure.push(operation);
        self
    }
}

/// A comparison of what the store has, on the left, with an operand. A key that is not there has revisions and version
/// 0, and no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compare {
    key: String,
    #[serde(flatten)]
    operand: Operand,
    #[serde(rename = "op")]
    relation: Relation,
}

/// How two things stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Relation {
    /// They are the same.
    #[serde(rename = "=")]
    Equal,
    /// They are not.
    #[serde(rename = "!=")]
    NotEqual,
    /// The store's is less.
    #[serde(rename = "<")]
    Less,
    /// The store's is greater.
    #[serde(rename = ">")]
    Greater,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "target", content = "value", rename_all = "snake_case")]
enum Operand {
    #[serde(with = "base64_text")]
    Value(Bytes),
    Version(u64),
    CreateRevision(u64),
    ModRevision(u64),
}

impl Compare {
    /// Of its value.
    pub fn value(key: &str, relation: Relation, value: Bytes) -> Self {
        Self::new(key, relation, Operand::Value(value))
    }

    /// Of how often it was written since it was created.
    pub fn version(key: &str, relation: Relation, version: u64) -> Self {
        Self::new(key, relation, Operand::Version(version))
    }

    /// Of the revision that created it.
    pub fn create_revision(key: &str, relation: Relation, revision: u64) -> Self {
        Self::new(key, relation, Operand::CreateRevision(revision))
    }

    /// Of the revision that wrote it last.
    pub fn mod_revision(key: &str, relation: Relation, revision: u64) -> Self {
        Self::new(key, relation, Operand::ModRevision(revision))
    }

    /// That there is no such key.
    pub fn absent(key: &str) -> Self {
        Self::version(key, Relation::Equal, 0)
    }

    fn new(key: &str, relation: Relation, operand: Operand) -> Self {
        Self { key: key.to_owned(), operand, relation }
    }
}

/// An operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Writes a key; see [`Operation::put`].
    Put(PutOperation),
    /// Reads a key.
    #[serde(rename = "get")]
    Read(Key),
    /// Deletes a key.
    Delete(Key),
}

/// A write in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutOperation {
    key: String,
    #[serde(with = "base64_text")]
    value: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseId>,
}

/// What a read or a deletion in a transaction is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    key: String,
}

impl Operation {
    /// Writes a key that stays until it is deleted.
    pub fn put(key: &str, value: Bytes) -> Self {
        Self::Put(PutOperation { key: key.to_owned(), value, ttl: None, lease: None })
    }

    /// Writes a key that goes by itself after this time.
    pub fn put_for(key: &str, value: Bytes, ttl: Duration) -> Self {
        Self::Put(PutOperation { key: key.to_owned(), value, ttl: Some(ttl_text(ttl)), lease: None })
    }

    /// Writes a key that goes when this lease ends.
    pub fn put_with(key: &str, value: Bytes, lease: &LeaseId) -> Self {
        Self::Put(PutOperation { key: key.to_owned(), value, ttl: None, lease: Some(lease.clone()) })
    }

    /// Reads a key.
    pub fn read(key: &str) -> Self {
        Self::Read(Key { key: key.to_owned() })
    }

    /// Deletes a key; one that is not there is no error.
    pub fn delete(key: &str) -> Self {
        Self::Delete(Key { key: key.to_owned() })
    }
}

/// What a transaction came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionResult {
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// The store's revision after it.
    pub revision: u64,
    /// What each operation of the list that was carried out did.
    pub results: Vec<OperationResult>,
}

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationResult {
    /// A key was written.
    Put {
        /// By this revision.
        mod_revision: u64,
    },
    /// What was there.
    #[serde(rename = "get")]
    Read(Option<Entry>),
    /// A key was to be deleted.
    Delete {
        /// How many were: 0 or 1.
        deleted: u64,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn transactions_are_written_as_the_server_reads_them() {
        let transaction = Transaction::new()
            .when(Compare::mod_revision("a", Relation::Equal, 7))
            .when(Compare::value("a", Relation::NotEqual, "x".into()))
            .when(Compare::absent("b"))
            .then(Operation::put_for("a", "y".into(), Duration::from_secs(30)))
            .then(Operation::put_with("c", "".into(), &LeaseId("00000000000000a1".to_owned())))
            .then(Operation::read("b"))
            .otherwise(Operation::delete("c"));
        let expected = serde_json::json!({
            "compare": [
                {"key": "a", "target": "mod_revision", "op": "=", "value": 7},
                {"key": "a", "target": "value", "op": "!=", "value": "eA=="},
                {"key": "b", "target": "version", "op": "=", "value": 0},
            ],
            "success": [
                {"put": {"key": "a", "value": "eQ==", "ttl": "30000ms"}},
                {"put": {"key": "c", "value": "", "lease": "00000000000000a1"}},
                {"get": {"key": "b"}},
            ],
            "failure": [{"delete": {"key": "c"}}],
        });
        assert_eq!(serde_json::to_value(&transaction).unwrap(), expected);
    }

    #[test]
    fn results_are_read_as_the_server_writes_them() {
        let text = r#"{"succeeded":true,"revision":10,"results":[{"put":{"mod_revision":10}},{"get":null},
            {"get":{"key":"b","value":"eA==","create_revision":1,"mod_revision":9,"version":2}},
            {"delete":{"deleted":1}}]}"#;
        let result: TransactionResult = serde_json::from_str(text).unwrap();
        let entry = Entry {
            key: "b".to_owned(),
            value: Some("x".into()),
            create_revision: 1,
            mod_revision: 9,
            version: 2,
            lease: None,
        };
        let expected = [
            OperationResult::Put { mod_revision: 10 },
            OperationResult::Read(None),
            OperationResult::Read(Some(entry)),
            OperationResult::Delete { deleted: 1 },
        ];
        assert_eq!((result.succeeded, result.revision, result.results.as_slice()), (true, 10, &expected[..]));
    }
}
