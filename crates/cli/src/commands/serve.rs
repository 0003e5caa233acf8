//! `gramwise serve`: a coordinator for workers that are processes of their own.

use std::net::SocketAddr;

use anyhow::Context;
use gramwise_coordinator::{Coordinator, Grid, Options, Sweeps};
use gramwise_store::Journal;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{grid, query, run, runtime, token as tokens};
use crate::args::{Common, ServeArgs};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::say;
use crate::token;

/// Serves until it is told to end. Sweeps that have not ended are taken up again, and workers that still run them go on.
pub(super) fn serve(common: &Common, args: &ServeArgs) -> anyhow::Result<Exit> {
    if args.init {
        return tokens::init(common, args.listen.port());
    }
    let authority = token::authority(common)?;
    if !args.listen.ip().is_loopback() && authority.is_none() {
        let message = format!("{} can be reached by others, and nothing is encrypted yet", args.listen);
        let hint = "`gramwise serve --init` makes certificates and tokens, once";
        return Err(Failure::error(Exit::WrongInput, format!("{message}\nhint: {hint}")));
    }
    token::check_list(common)?;
    many_files();
    let path = database::path(common)?;
    let journal = Journal::open(&path)?;
    let access = token::access(common, authority.as_ref().map(|authority| authority.fingerprint))?;
    let is_encrypted = authority.is_some();
    runtime()?.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|error| {
            let hint = "another `gramwise serve` may run; --listen 127.0.0.1:0 takes any free port";
            Failure::error(
                Exit::WrongInput,
                format!("cannot listen on {}: {error}\nhint: {hint}", args.listen),
            )
        })?;
        let options = Options {
            sweeps: Sweeps::All,
            grid: Grid { client: grid::client(&args.grid), every: args.intensity_every },
            lease: args.lease,
            access,
            authority,
            files: database::files(&path)?,
            answers: query::answers(path.clone()),
        };
        let coordinator = Coordinator::start(journal, listener, options)?;
        let address = coordinator.address();
        let how = if is_encrypted { "encrypted" } else { "this machine only" };
        say(
            common,
            &format!(
                "serving {} on {address} ({how}); Ctrl-C ends it, and what runs goes on",
                path.display()
            ),
        );
        say(common, &hint(common, address, is_encrypted)?);
        let interrupt = CancellationToken::new();
        let watching = tokio::spawn(run::interrupted(interrupt.clone()));
        tokio::select! {
            () = interrupt.cancelled() => {}
            () = coordinator.failed() => {}
        }
        watching.abort();
        coordinator.stop().await.context("the coordinator ended")?;
        say(common, "ended; what runs goes on, and `gramwise serve` takes it up again");
        Ok(Exit::Success)
    })
}

/// How to reach it.
fn hint(common: &Common, address: SocketAddr, is_encrypted: bool) -> anyhow::Result<String> {
    let host = if address.ip().is_unspecified() { run::hostname() } else { address.ip().to_string() };
    let host = if address.is_ipv6() && host.contains(':') { format!("[{host}]") } else { host };
    let folder = token::folder(common)?;
    let shown = |role: &str| {
        if is_encrypted {
            format!(" --token-file {}", folder.join(format!("{role}.token")).display())
        } else {
            String::new()
        }
    };
    let (port, worker, client) = (address.port(), shown("worker"), shown("client"));
    Ok(format!(
        "hint: `gramwise worker --coordinator {host}:{port}{worker}` runs trials, `gramwise submit FILE --coordinator {host}:{port}{client}` hands a sweep over"
    ))
}

/// A connection is a file: a coordinator may have as many as the system lets it have.
fn many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, it is as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
