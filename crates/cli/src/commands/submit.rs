//! `gramwise submit` and `cancel`: words to a coordinator.

use std::path::Path;

use gramwise_wire::token::Bearer;
use gramwise_wire::v1::sweeps_client::SweepsClient;
use gramwise_wire::v1::{EndRequest, SubmitRequest};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{check, run};
use crate::args::{Common, CoordinatorArg};
use crate::exit::{Exit, Failure};
use crate::output::print;
use crate::token;

type Client = SweepsClient<InterceptedService<Channel, Bearer>>;

/// Hands a sweep over; prints its number.
pub(super) fn submit(common: &Common, file: &Path, coordinator: &CoordinatorArg) -> anyhow::Result<Exit> {
    check::read(file, common.quiet)?;
    let yaml = std::fs::read_to_string(file)?;
    run::runtime()?.block_on(async {
        let mut client = client(common, coordinator).await?;
        let asked = SubmitRequest { yaml, by: run::whoami() };
        let sweep = client.submit(asked).await.map_err(|status| refused(&status))?.into_inner().sweep;
        print(&format!("{sweep}\n"))?;
        if !common.quiet {
            eprintln!("sweep {sweep} is submitted; `gramwise status {sweep} --watch` on the coordinator's machine shows it");
        }
        Ok(Exit::Success)
    })
}

/// Ends a sweep.
pub(super) fn cancel(common: &Common, sweep: u32, coordinator: &CoordinatorArg) -> anyhow::Result<Exit> {
    run::runtime()?.block_on(async {
        let mut client = client(common, coordinator).await?;
        let why = format!("cancelled by {}", run::whoami());
        client.end(EndRequest { sweep, why }).await.map_err(|status| refused(&status))?;
        if !common.quiet {
            eprintln!("sweep {sweep} is ending: its running trials are being stopped");
        }
        Ok(Exit::Success)
    })
}

async fn client(common: &Common, coordinator: &CoordinatorArg) -> anyhow::Result<Client> {
    let url = &coordinator.coordinator;
    let unusable = |error: tonic::transport::Error| {
        Failure::error(
            Exit::WrongInput,
            format!("`{url}` is no address of a coordinator: {error}\nhint: such as http://127.0.0.1:7117"),
        )
    };
    let endpoint = Endpoint::from_shared(url.clone()).map_err(unusable)?;
    let token = token::shown(common, &coordinator.token)?;
    let channel = endpoint.connect().await.map_err(|_| {
        Failure::error(
            Exit::NoCoordinator,
            format!("no coordinator answers at {url}\nhint: `gramwise serve` starts one"),
        )
    })?;
    Ok(SweepsClient::with_interceptor(channel, Bearer(token)))
}

fn refused(status: &Status) -> anyhow::Error {
    let exit = match status.code() {
        Code::Unavailable => Exit::NoCoordinator,
        Code::InvalidArgument | Code::NotFound => Exit::WrongInput,
        _ => Exit::Refused,
    };
    Failure::error(exit, status.message().to_owned())
}
