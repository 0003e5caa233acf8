//! `gramwise serve`: a coordinator for workers that are processes of their own.

use anyhow::Context;
use gramwise_coordinator::{Coordinator, Grid, Sweeps};
use gramwise_store::Journal;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{grid, run};
use crate::args::{Common, ServeArgs};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::token;

/// Serves until it is told to end. Sweeps that have not ended are taken up again, and workers that still run them go on.
pub(super) fn serve(common: &Common, args: &ServeArgs) -> anyhow::Result<Exit> {
    if !args.listen.ip().is_loopback() {
        let message = format!("{} can be reached by others, and there is no encryption yet", args.listen);
        let hint = format!(
            "listen on 127.0.0.1, and on each worker `ssh -N -L {0}:127.0.0.1:{0} THIS-HOST`",
            args.listen.port()
        );
        return Err(Failure::error(Exit::WrongInput, format!("{message}\nhint: {hint}")));
    }
    let path = database::path(common)?;
    let journal = Journal::open(&path)?;
    let token = token::kept(common, &args.token)?;
    let runtime = run::runtime()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|error| {
            let hint = "another `gramwise serve` may run; --listen 127.0.0.1:0 takes any free port";
            Failure::error(Exit::WrongInput, format!("cannot listen on {}: {error}\nhint: {hint}", args.listen))
        })?;
        let grid = Grid { client: grid::client(&args.grid), every: args.intensity_every };
        let coordinator = Coordinator::start(journal, Sweeps::All, listener, grid, args.lease, token)?;
        let url = format!("http://{}", coordinator.address());
        if !common.quiet {
            eprintln!("serving {} on {url}", path.display());
            eprintln!("hint: `gramwise worker --coordinator {url}` on each machine, then `gramwise submit FILE --coordinator {url}`");
        }
        let interrupt = CancellationToken::new();
        let watching = tokio::spawn(run::interrupted(interrupt.clone()));
        tokio::select! {
            () = interrupt.cancelled() => {}
            () = coordinator.failed() => {}
        }
        watching.abort();
        coordinator.stop().await.context("the coordinator ended")?;
        if !common.quiet {
            eprintln!("ended; what runs goes on, and `gramwise serve` takes it up again");
        }
        Ok(Exit::Success)
    })
}
