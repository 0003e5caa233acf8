//! The loop: one thread owns the state and the write connection; gRPC calls wait for it.
//!
//! To know: [`Coordinator`] (starts and stops the whole), and the driver behind it, which drains waiting commands,
//! decides, writes all their facts in one transaction and only then answers. Nothing here fits a model or touches a device.

mod clock;
mod driver;
mod feed;
mod handle;
mod output;
mod refusals;
mod service;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gramwise_carbon::CarbonFactors;
use gramwise_model::{SweepId, SweepSpec};
use gramwise_search::Command;
use gramwise_store::Journal;
use gramwise_trust::{Access, Authority, Door, Guard, KEEP_ALIVE};
use gramwise_wire::LARGEST_MESSAGE;
use gramwise_wire::v1::sweeps_server::SweepsServer;
use gramwise_wire::v1::trust_server::TrustServer;
use gramwise_wire::v1::work_server::WorkServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;

use driver::Driver;
pub use driver::{Sweeps, replicas};
use feed::Feed;
pub use feed::Grid;
use handle::DriverHandle;
pub use handle::Error;
use output::Outputs;
pub use output::kept_output;
use refusals::Refusals;

/// How long calls in flight may take when the coordinator stops. Streams that a peer holds open would make tonic
/// wait for ever.
const DRAIN: Duration = Duration::from_secs(5);
/// Calls of one connection at once. A worker has one for each trial's output and two of its own.
const CALLS: usize = 64;
/// Bytes of a call's headers.
const HEADERS: u32 = 16 << 10;

/// What a coordinator is started with.
#[derive(Debug)]
pub struct Options {
    /// Sweeps to take up again.
    pub sweeps: Sweeps,
    /// Publishers of the grid's intensity.
    pub grid: Grid,
    /// A worker that is not heard of for so long loses what it held: it is interrupted, its grams move to `lost`, its trials wait to be
    /// run again.
    pub lease: Duration,
    /// Who is let in.
    pub access: Access,
    /// Its certificates; without them nothing is encrypted, which is for loopback only.
    pub authority: Option<Authority>,
    /// The folder for what trials wrote.
    pub files: PathBuf,
    /// Answers questions that only read.
    pub answers: Answers,
}

/// Carries out commands that only read: their words, the terminal's columns, and whether it shows colours.
#[derive(Clone)]
pub struct Answers(Arc<Answering>);

type Answering = dyn Fn(&[String], usize, bool) -> Answer + Send + Sync;

/// What a command that only reads came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// For stdout.
    pub text: Vec<u8>,
    /// For stderr.
    pub error: String,
    /// The exit code.
    pub exit: u8,
    /// What was asked about still goes on.
    pub more: bool,
    /// Of a stream that grows: where to go on.
    pub through: u64,
}

impl Answers {
    /// By a function.
    pub fn new(answer: impl Fn(&[String], usize, bool) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// None: a coordinator whose database is at hand.
    pub fn none() -> Self {
        Self::new(|_, _, _| Answer::default())
    }

    fn answer(&self, words: &[String], width: usize, colour: bool) -> Answer {
        self.0(words, width, colour)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Answers(..)")
    }
}

/// A running coordinator.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    driver: DriverHandle,
    feed: Feed,
    thread: std::thread::JoinHandle<Result<(), Error>>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    stop: CancellationToken,
}

impl Coordinator {
    /// Starts on a listener. Sweeps to resume are replayed from the journal.
    pub fn start(journal: Journal, listener: TcpListener, options: Options) -> Result<Self, Error> {
        let Options { sweeps, grid, lease, access, authority, files, answers } = options;
        let address = listener.local_addr().map_err(Error::Socket)?;
        let (driver, resumed, thread) = Driver::start(journal, access.clone(), sweeps, lease)?;
        let feed = Feed::new(driver.clone(), grid);
        for (sweep, spec) in resumed {
            // The zone was known when the sweep began; a table without it would be another program's.
            if let Ok(yearly) = CarbonFactors::yearly(spec.carbon.zone.as_deref(), None) {
                feed.resume(sweep, &spec, yearly.stated());
            }
        }
        let stop = CancellationToken::new();
        let authority = authority.map(Arc::new);
        let service = service::Service {
            driver: driver.clone(),
            feed: feed.clone(),
            outputs: Outputs::new(&files),
            answers,
            asking: service::Service::questions(),
            access: access.clone(),
            authority: authority.clone(),
        };
        let (every, patience) = KEEP_ALIVE;
        let mut server = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(every))
            .http2_keepalive_timeout(Some(patience))
            .http2_max_header_list_size(HEADERS)
            .concurrency_limit_per_connection(CALLS);
        if let Some(authority) = &authority {
            server = server.tls_config(authority.server()).map_err(Error::Tls)?;
        }
        let door = |door| Guard { access: access.clone(), door };
        let (sweeps, work, trust) =
            (SweepsServer::new(service.clone()), WorkServer::new(service.clone()), TrustServer::new(service));
        let server = server
            .layer(Refusals::default())
            .add_service(InterceptedService::new(
                sweeps.max_decoding_message_size(LARGEST_MESSAGE),
                door(Door::Client),
            ))
            .add_service(InterceptedService::new(
                work.max_decoding_message_size(LARGEST_MESSAGE),
                door(Door::Work),
            ))
            .add_service(InterceptedService::new(trust, door(Door::Join)))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
        Ok(Self { address, driver, feed, thread, server: tokio::spawn(server), stop })
    }

    /// Where workers and clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins a sweep from within the process; clients use the `Sweeps` service.
    pub async fn submit(
        &self,
        spec: SweepSpec,
        factors: CarbonFactors,
        by: String,
    ) -> Result<SweepId, Error> {
        self.feed.submit(spec, factors, by).await
    }

    /// Ends a sweep: no new trials, running ones are stopped.
    pub async fn end(&self, sweep: SweepId, why: String) -> Result<(), Error> {
        self.driver.carry_out(Command::End { sweep, why, let_finish: false }).await
    }

    /// Waits until the driver has ended by itself: it could not write the journal. [`Coordinator::stop`] says why.
    pub async fn failed(&self) {
        self.driver.gone().await;
    }

    /// Stops serving, waits for calls in flight, and closes the database.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.cancel();
        let _ = tokio::time::timeout(DRAIN, self.server).await;
        self.driver.stop().await;
        drop((self.driver, self.feed));
        tokio::task::spawn_blocking(move || self.thread.join())
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or(Err(Error::Gone))
    }
}
