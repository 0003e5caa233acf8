//! The OS thread that a host's meter lives on: NVML can block for seconds on a sick GPU, and nothing async may wait for that.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::host::{ConsumerId, HostMeter, HostSnapshot};
use crate::probe::{Finding, Inventory};

/// Counters are read at least this often: a wrap is hours away, but a gap is filled with the last interval's power.
const PERIOD: Duration = Duration::from_secs(1);
/// Requests waiting at most. Each attempt makes a handful, so a full queue means a device that blocks; callers then wait too.
const QUEUE: usize = 256;

/// Starts the thread.
#[derive(Debug, Clone, Copy)]
pub struct MeterThread;

/// A cheap, cloneable way to a host's meter. Requests are carried out in the order they are made; the thread ends with its last
/// handle.
#[derive(Debug, Clone)]
pub struct MeterHandle {
    requests: SyncSender<Request>,
    inventory: Arc<Inventory>,
    findings: Arc<Vec<Finding>>,
}

enum Request {
    Open(ConsumerId, Vec<String>),
    Attach(ConsumerId, u32),
    Close(ConsumerId, Option<Duration>),
    Snapshot(Box<dyn FnOnce(HostSnapshot) + Send>),
}

impl MeterThread {
    /// Moves a meter to a thread of its own.
    pub fn spawn(meter: HostMeter) -> io::Result<MeterHandle> {
        let (requests, queue) = sync_channel(QUEUE);
        let inventory = Arc::new(meter.inventory().clone());
        let findings = Arc::new(meter.findings().to_vec());
        std::thread::Builder::new().name("meter".to_owned()).spawn(move || run(meter, &queue))?;
        Ok(MeterHandle { requests, inventory, findings })
    }
}

impl MeterHandle {
    /// What the host has.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What is measured, modelled and missing.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// See [`HostMeter::open`].
    pub fn open(&self, consumer: ConsumerId, gpus: &[String]) {
        self.request(Request::Open(consumer, gpus.to_vec()));
    }

    /// See [`HostMeter::attach`].
    pub fn attach(&self, consumer: ConsumerId, root: u32) {
        self.request(Request::Attach(consumer, root));
    }

    /// See [`HostMeter::close`].
    pub fn close(&self, consumer: ConsumerId, final_cpu: Option<Duration>) {
        self.request(Request::Close(consumer, final_cpu));
    }

    /// Reads everything now and hands the sums to `reply`, on the meter's thread. If the thread is gone, `reply` is dropped.
    pub fn snapshot(&self, reply: impl FnOnce(HostSnapshot) + Send + 'static) {
        self.request(Request::Snapshot(Box::new(reply)));
    }

    fn request(&self, request: Request) {
        // An error says that the thread is gone; a dropped reply tells the caller of a snapshot.
        let _ = self.requests.send(request);
    }
}

fn run(mut meter: HostMeter, queue: &Receiver<Request>) {
    meter.sample(); // The first reading of a counter says nothing of the past: take it before anyone opens a window.
    loop {
        match queue.recv_timeout(PERIOD) {
            Ok(Request::Open(consumer, gpus)) => meter.open(consumer, &gpus),
            Ok(Request::Attach(consumer, root)) => meter.attach(consumer, root),
            Ok(Request::Close(consumer, final_cpu)) => meter.close(consumer, final_cpu),
            Ok(Request::Snapshot(reply)) => reply(meter.sample()),
            Err(RecvTimeoutError::Timeout) => drop(meter.sample()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
