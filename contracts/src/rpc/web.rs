//! Files behind an address: `GET` and `PUT` under their names, as object stores and WebDAV servers offer them.

use super::{
    endpoint::Endpoint,
    http::{body, chain_of, client},
};
use crate::abi::printable;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use std::{fmt, time::Duration};
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};

/// Why a file cannot be fetched or stored. Addresses are shown without paths and credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WebError {
    /// The text is no address.
    #[error("not a web address: {0}")]
    Url(String),
    /// What lies there would cross a network in the clear.
    #[error("{0} is neither encrypted nor on this machine")]
    Clear(String),
    /// There is no client on this machine.
    #[error("cannot set up a connection: {0}")]
    Setup(String),
    /// No answer, or no whole one.
    #[error("{shown} does not answer: {reason}")]
    Unreachable {
        /// The address.
        shown: String,
        /// What the connection said.
        reason: String,
    },
    /// An answer that says no.
    #[error("{shown} answers with status {status}")]
    Status {
        /// The address.
        shown: String,
        /// The status of HTTP.
        status: u16,
    },
    /// A file that cannot be what was asked for.
    #[error("{shown} has a file of more than {limit} bytes there")]
    TooLarge {
        /// The address.
        shown: String,
        /// Most bytes that were wanted.
        limit: usize,
    },
}

/// An address under which files lie.
pub struct WebFolder {
    client: Client,
    endpoint: Endpoint,
    runtime: Runtime,
}

impl fmt::Debug for WebFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl WebFolder {
    /// A folder for what must not be read on the way: `https`, or `http` on this machine. `timeout` is that of one request.
    ///
    /// # Errors
    /// [`WebError::Url`], [`WebError::Clear`], [`WebError::Setup`], the last also inside an asynchronous runtime.
    pub fn private(address: &str, timeout: Duration) -> Result<Self, WebError> {
        let setup = |e: &dyn fmt::Display| WebError::Setup(printable(&e.to_string()));
        let endpoint = Endpoint::parse(address).map_err(|e| match e {
            crate::Error::Url(why) => WebError::Url(why),
            e => setup(&e),
        })?;
        if !endpoint.is_encrypted() && !endpoint.is_loopback() {
            return Err(WebError::Clear(endpoint.shown().to_owned()));
        }
        if Handle::try_current().is_ok() {
            return Err(setup(&crate::Error::InsideRuntime));
        }
        let client = client(&endpoint, timeout).map_err(|e| setup(&e))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| setup(&e))?;
        Ok(Self { client, endpoint, runtime })
    }

    /// Without anything secret.
    pub fn shown(&self) -> &str {
        self.endpoint.shown()
    }

    /// The bytes of a file, at most `limit`; `None` if there is none under this name.
    ///
    /// # Errors
    /// All but [`WebError::Url`], [`WebError::Clear`] and [`WebError::Setup`].
    pub fn get(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, WebError> {
        self.runtime.block_on(async {
            let answer = self.send(self.client.get(self.endpoint.file(name))).await?;
            if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
                return Ok(None);
            }
            self.good(&answer)?;
            let bytes = body(answer, limit).await.map_err(|e| self.broken(e))?;
            bytes.map(Some).ok_or_else(|| WebError::TooLarge { shown: self.shown().to_owned(), limit })
        })
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// [`WebError::Unreachable`], [`WebError::Status`].
    pub fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), WebError> {
        self.runtime.block_on(async {
            let answer = self.send(self.client.put(self.endpoint.file(name)).body(bytes)).await?;
            self.good(&answer)
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, WebError> {
        request.send().await.map_err(|e| self.broken(e))
    }

    fn good(&self, answer: &Response) -> Result<(), WebError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(WebError::Status { shown: self.shown().to_owned(), status: status.as_u16() })
    }

    fn broken(&self, e: reqwest::Error) -> WebError {
        let reason =
            if e.is_timeout() { "it takes too long".to_owned() } else { printable(&chain_of(&e.without_url())) };
        WebError::Unreachable { shown: self.shown().to_owned(), reason }
    }
}
