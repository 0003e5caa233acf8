//! The way to a coordinator, and what its refusals mean to a command.

use gramwise_trust::{Address, Bearer, Peer, deepest};
use gramwise_wire::v1::sweeps_client::SweepsClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::token;

/// Where a coordinator is that nobody named.
const USUAL: &str = "127.0.0.1:7117";

pub(super) type Sweeps = SweepsClient<InterceptedService<Channel, Bearer>>;

/// The coordinator's address.
pub(super) fn address(common: &Common) -> anyhow::Result<Address> {
    let address = common.coordinator.as_deref().unwrap_or(USUAL).parse();
    address.map_err(|bad: gramwise_trust::BadAddress| Failure::error(Exit::WrongInput, bad.to_string()))
}

/// Connects to the coordinator, as a client.
pub(super) async fn sweeps(common: &Common) -> anyhow::Result<Sweeps> {
    let address = address(common)?;
    let peer = Peer::by_token(address.clone(), token::shown(common)?);
    let channel = peer.endpoint()?.connect().await.map_err(|error| {
        // The cause says why: nobody there, or somebody who is not the one that the token is for.
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), deepest);
        let hint = "`gramwise serve` starts one; the token says whether it encrypts";
        Failure::error(
            Exit::NoCoordinator,
            format!("no coordinator answers at {address} ({why})\nhint: {hint}"),
        )
    })?;
    Ok(SweepsClient::with_interceptor(channel, peer.bearer()))
}

/// A refusal as a failure of the command.
pub(super) fn refused(status: &Status) -> anyhow::Error {
    // What the way to it says has a cause; what it says itself has none.
    let is_unheard = std::error::Error::source(status).is_some();
    let exit = match status.code() {
        code if is_unheard || code == Code::Unavailable => Exit::NoCoordinator,
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => Exit::WrongInput,
        _ => Exit::Refused,
    };
    Failure::error(exit, status.message().to_owned())
}
