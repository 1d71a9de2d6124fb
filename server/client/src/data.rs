//! The whole store as one `data.json`.

use crate::client::Client;
use crate::error::{ClientError, Failed};
use crate::exchange::{Begun, Call, cause};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Body, Incoming};
use std::time::Duration;

impl Client {
    /// The whole store, in the format of `data.json`, as it comes.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint began to answer in time.
    pub async fn export(&self) -> Result<Export, ClientError> {
        let call = Call::read("/data.json".to_owned());
        let (endpoint, begun): (_, Begun) = self.in_turn(self.endpoints(), call).await?;
        let body = begun.into_body();
        let bytes = body.size_hint().exact();
        let failed = Failed { endpoint: endpoint.clone(), problem: String::new() };
        Ok(Export { bytes, body, patience: self.timeout(), failed })
    }

    /// Writes every entry of a `data.json`; keys that are not in it stay as they are.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when an entry can't be decoded (then nothing was written), or it is too large.
    pub async fn import(&self, data_json: Bytes) -> Result<(), ClientError> {
        self.call(Call::write(Method::POST, "/data.json".to_owned()).with_json(data_json)).await.map(drop)
    }
}

/// A `data.json` on its way.
#[derive(Debug)]
pub struct Export {
    bytes: Option<u64>,
    body: Incoming,
    patience: Duration,
    failed: Failed,
}

impl Export {
    /// How many bytes there are, if that is known already.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The next bytes, for which it waits as long as the client's timeout; nothing when all have come.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`]: it broke off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let problem = match tokio::time::timeout(self.patience, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => return Ok(Some(piece)),
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => format!("the answer broke off: {}", cause(&error)),
                Err(_) => format!("nothing came for {:?}", self.patience),
            };
            return Err(ClientError::Unavailable(vec![Failed { problem, ..self.failed.clone() }]));
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Export::piece`].
    pub async fn whole(mut self) -> Result<Bytes, ClientError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}
