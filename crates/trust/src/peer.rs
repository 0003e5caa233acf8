//! From an address and what one holds to a connection.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{ClientTlsConfig, Endpoint, Identity};

use crate::authority::{Fingerprint, SERVER_NAME, WorkerIdentity};
use crate::guard::Bearer;
use crate::pinned::Pinned;
use crate::token::Token;

/// A connection that stands open is looked after so often, and given up when nothing comes back for so long.
pub const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// A host that does not answer is given up after this time.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a coordinator is: `host:port`. Whether calls are encrypted, the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// What is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a coordinator\nhint: such as 127.0.0.1:7117 or gpu-head:7117")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        let rest =
            ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let uri: tonic::codegen::http::Uri = format!("http://{rest}").parse().map_err(|_| bad())?;
        let is_plain = uri.path() == "/" && uri.query().is_none() && !rest.contains('@');
        if uri.port_u16().is_none() || uri.host().is_none_or(str::is_empty) || !is_plain {
            return Err(bad());
        }
        Ok(Self(rest.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A coordinator, as somebody who holds something sees it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it is.
    pub address: Address,
    token: Option<Token>,
    identity: Option<WorkerIdentity>,
}

impl Peer {
    /// By a token.
    pub fn by_token(address: Address, token: Token) -> Self {
        Self { address, token: Some(token), identity: None }
    }

    /// As a worker that joined.
    pub fn as_worker(address: Address, identity: WorkerIdentity) -> Self {
        Self { address, token: None, identity: Some(identity) }
    }

    /// The authority that the other side must be of; `None`: nothing is encrypted.
    pub fn authority(&self) -> Option<Fingerprint> {
        let of_token = self.token.as_ref().and_then(|token| token.authority);
        self.identity.as_ref().map(|identity| identity.authority).or(of_token)
    }

    /// The worker's name that its certificate holds.
    pub fn worker(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.name.as_str())
    }

    /// How to connect.
    pub fn endpoint(&self) -> Result<Endpoint, BadAddress> {
        let bad = |_: tonic::transport::Error| BadAddress(self.address.to_string());
        let authority = self.authority();
        let scheme = if authority.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address)).map_err(bad)?;
        let (every, patience) = KEEP_ALIVE;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(every)
            .keep_alive_timeout(patience)
            .keep_alive_while_idle(true);
        let Some(authority) = authority else { return Ok(endpoint) };
        let tls = ClientTlsConfig::new().domain_name(SERVER_NAME);
        let tls = match &self.identity {
            Some(identity) => tls.identity(Identity::from_pem(&identity.certificate, &identity.key)),
            None => tls,
        };
        endpoint.tls_config_with_verifier(tls, Arc::new(Pinned::new(authority))).map_err(bad)
    }

    /// What to show with each call.
    pub fn bearer(&self) -> Bearer {
        Bearer::new(self.token.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for right in ["127.0.0.1:7117", "http://gpu-head:1", "https://[::1]:7117/", "a.b.example:65535"] {
            let address: Address = right.parse().unwrap();
            assert!(!address.to_string().contains('/'), "{address}");
        }
        for wrong in
            ["", "host", "host:", ":1", "host:99999", "host:1/x", "not an address", "u@h:1", "ftp://h:1"]
        {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
