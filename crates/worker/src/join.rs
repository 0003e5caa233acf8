//! Becoming a worker: a key of one's own, and the coordinator's certificate for it, kept for every later start.

use std::path::Path;

use gramwise_trust::{Address, BadAddress, Fingerprint, Peer, Token, WorkerIdentity, WorkerKey};
use gramwise_wire::v1::JoinRequest;
use gramwise_wire::v1::trust_client::TrustClient;

use crate::calls::heard;

/// Why a machine is not a worker.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is no such address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The coordinator refused.
    #[error("{0}")]
    Refused(String),
    /// A key or a file.
    #[error(transparent)]
    Trust(#[from] gramwise_trust::Error),
}

/// The coordinator as its worker sees it. Where calls are encrypted, the machine joins, unless it did before; `folder` keeps what it is
/// known by. Waits for a coordinator that does not answer.
pub async fn join(address: Address, token: Token, folder: &Path, host: &str) -> Result<Peer, JoinError> {
    let Some(authority) = token.authority else { return Ok(Peer::by_token(address, token)) };
    if let Some(identity) = WorkerIdentity::kept(folder, &token, host)? {
        return Ok(Peer::as_worker(address, identity));
    }
    let identity = certified(&Peer::by_token(address.clone(), token.clone()), authority, host).await?;
    identity.keep(folder, &token, host)?;
    Ok(Peer::as_worker(address, identity))
}

async fn certified(peer: &Peer, authority: Fingerprint, host: &str) -> Result<WorkerIdentity, JoinError> {
    let key = WorkerKey::generate()?;
    let client = TrustClient::with_interceptor(peer.endpoint()?.connect_lazy(), peer.bearer());
    let request = JoinRequest { public_key: key.public().to_vec(), host: host.to_owned() };
    let call = || {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.join(request).await }
    };
    let reply = heard(&peer.address, "", call).await;
    let reply = reply.map_err(|status| JoinError::Refused(status.message().to_owned()))?;
    Ok(key.certified(reply.name, reply.certificate, authority))
}
