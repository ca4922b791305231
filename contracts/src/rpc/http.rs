//! Requests to a node over HTTP: one connection each, bounded in time and size, without redirects or compression.

use super::endpoint::Endpoint;
use crate::Error;
use alloy_json_rpc::{RequestPacket, Response as Answer, ResponsePacket};
use alloy_transport::{TransportError, TransportErrorKind, TransportFut};
use reqwest::{Client, Response, header, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{error::Error as StdError, sync::Arc, task, time::Duration};
use tower_service::Service;

/// Most bytes of an answer. The longest needed are the code of a contract and a receipt.
pub(super) const ANSWER_BYTES: usize = 4 << 20;

/// The transport under alloy's client.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    endpoint: Endpoint,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(endpoint: Endpoint, timeout: Duration) -> Result<Self, Error> {
        let client = client(&endpoint, timeout)?;
        Ok(Self { client, endpoint, timeout })
    }

    pub(super) async fn request(self, packet: RequestPacket) -> Result<ResponsePacket, Error> {
        let id = packet.as_single().map(|r| r.id().clone());
        let text = packet.serialize().map_err(|e| self.bad(format!("the request cannot be written: {e}")))?;
        let response = self
            .client
            .post(self.endpoint.url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(text.get().to_owned())
            .send()
            .await
            .map_err(|e| self.broken(e))?;
        let status = response.status();
        let answer = body(response, ANSWER_BYTES).await.map_err(|e| self.broken(e))?;
        let answer = answer.ok_or_else(|| Error::TooLarge { endpoint: self.shown(), limit: ANSWER_BYTES })?;
        // Some nodes send JSON-RPC errors with a status of their own.
        match serde_json::from_slice::<Answer>(&answer) {
            Ok(parsed) if status.is_success() || parsed.is_error() => {
                // An error before the request was read has no identity.
                let anonymous = parsed.is_error() && parsed.id.is_none();
                if Some(&parsed.id) != id.as_ref() && !anonymous {
                    return Err(self.bad("it answers another request".to_owned()));
                }
                Ok(ResponsePacket::Single(parsed))
            }
            _ if !status.is_success() => Err(Error::Status { endpoint: self.shown(), status: status.as_u16() }),
            Err(e) => Err(self.bad(format!("not a JSON-RPC answer ({e})"))),
            Ok(_) => Err(self.bad("not a JSON-RPC answer".to_owned())),
        }
    }

    fn shown(&self) -> String {
        self.endpoint.shown().to_owned()
    }

    fn bad(&self, what: String) -> Error {
        Error::BadAnswer { endpoint: self.shown(), what: crate::abi::printable(&what) }
    }

    fn broken(&self, e: reqwest::Error) -> Error {
        if e.is_timeout() {
            return Error::Timeout { endpoint: self.shown(), seconds: self.timeout.as_secs() };
        }
        let reason = crate::abi::printable(&chain_of(&e.without_url()));
        Error::Unreachable { endpoint: self.shown(), reason }
    }
}

/// A client for one address: one connection each request, without redirects. Proxies are passed by on this machine.
pub(super) fn client(endpoint: &Endpoint, timeout: Duration) -> Result<Client, Error> {
    let setup = |e: &dyn StdError| Error::Setup(crate::abi::printable(&chain_of(e)));
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| setup(&e))?;
    let tls = if endpoint.is_encrypted() {
        tls.with_platform_verifier().map_err(|e| setup(&e))?.with_no_client_auth()
    } else {
        tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .timeout(timeout)
        // A connection that was closed while nobody looked would fail the next request.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")));
    if endpoint.is_loopback() {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| setup(&e.without_url()))
}

/// What is sent in an answer; `None` if it is more than `limit` bytes, of which no more are read.
pub(super) async fn body(mut answer: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// An error and what is behind it, outermost first.
pub(super) fn chain_of(e: &dyn StdError) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(e) = next {
        text.push_str(": ");
        text.push_str(&e.to_string());
        next = e.source();
    }
    text
}

impl Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.request(packet).await.map_err(TransportErrorKind::custom) })
    }
}
