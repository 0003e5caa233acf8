//! The loop: one thread owns the state and the write connection; gRPC calls wait for it.
//!
//! To know: [`Coordinator`] (starts and stops the whole), and the driver behind it, which drains waiting commands,
//! decides, writes all their facts in one transaction and only then answers. Nothing here fits a model or touches a device.

mod clock;
mod driver;
mod feed;
mod service;

use std::net::SocketAddr;
use std::time::Duration;

use gramwise_carbon::CarbonFactors;
use gramwise_model::{SweepId, SweepSpec};
use gramwise_store::Journal;
use gramwise_wire::token::{Guard, Token};
use gramwise_wire::v1::sweeps_server::SweepsServer;
use gramwise_wire::v1::work_server::WorkServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;

use driver::{Driver, DriverHandle};
pub use driver::{Error, Sweeps};
use feed::Feed;
pub use feed::Grid;

/// How long calls in flight may take when the coordinator stops. Streams that a peer holds open would make tonic
/// wait for ever.
const DRAIN: Duration = Duration::from_secs(5);

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
    /// Starts on a listener, for all who show the token. Sweeps to resume are replayed from the journal; a worker that is not heard of for `lease` loses what it
    /// held: it is interrupted, its grams move to `lost`, its trials wait to be run again.
    pub fn start(
        journal: Journal,
        sweeps: Sweeps,
        listener: TcpListener,
        grid: Grid,
        lease: Duration,
        token: Token,
    ) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(Error::Socket)?;
        let (driver, resumed, thread) = Driver::start(journal, sweeps, lease)?;
        let feed = Feed::new(driver.clone(), grid);
        for (sweep, spec) in resumed {
            // The zone was known when the sweep began; a table without it would be another program's.
            if let Ok(yearly) = CarbonFactors::yearly(spec.carbon.zone.as_deref(), None) {
                feed.resume(sweep, &spec, yearly.stated());
            }
        }
        let stop = CancellationToken::new();
        let service = service::Service::new(driver.clone(), feed.clone());
        let stopped = stop.clone().cancelled_owned();
        let server = tonic::transport::Server::builder()
            .add_service(SweepsServer::with_interceptor(service.clone(), Guard(token.clone())))
            .add_service(InterceptedService::new(
                WorkServer::new(service).max_decoding_message_size(gramwise_wire::LARGEST_MESSAGE),
                Guard(token),
            ))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped);
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
        self.driver.end(sweep, why).await
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
