//! The OS thread that a host's meter lives on: NVML can block for seconds on a sick GPU, and nothing async may wait for that.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::attribution::HostSnapshot;
use gramwise_carbon::Energy;

use crate::doctor::Finding;
use crate::handover::{Adopted, Ending, Handover};
use crate::host::{ConsumerId, HostMeter};
use crate::probe::Inventory;

/// Counters are read at least this often: a wrap is hours away, but a gap is filled with the last interval's power.
const PERIOD: Duration = Duration::from_secs(1);
/// Power without a counter is integrated from readings at least this close together.
const POWER_PERIOD: Duration = Duration::from_millis(100);
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
    Open(ConsumerId, Vec<String>, Option<u32>),
    Attach(ConsumerId, u32, Option<PathBuf>),
    Close(ConsumerId, Option<Duration>),
    Forget(ConsumerId, Energy),
    Obstacles(Box<dyn FnOnce(BTreeMap<String, String>) + Send>),
    Snapshot(Box<dyn FnOnce(HostSnapshot) + Send>),
    Handover(Box<dyn FnOnce(HostSnapshot, Handover) + Send>),
    Adopt(Box<Handover>, BTreeMap<ConsumerId, Ending>, Vec<Adopted>, Box<dyn FnOnce(HostSnapshot) + Send>),
    Settle(Box<Handover>, BTreeMap<ConsumerId, Ending>, Box<dyn FnOnce(HostSnapshot) + Send>),
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
    pub fn open(&self, consumer: ConsumerId, gpus: &[String], cpus: Option<u32>) {
        self.request(Request::Open(consumer, gpus.to_vec(), cpus));
    }

    /// See [`HostMeter::attach`].
    pub fn attach(&self, consumer: ConsumerId, root: u32, cgroup: Option<PathBuf>) {
        self.request(Request::Attach(consumer, root, cgroup));
    }

    /// See [`HostMeter::close`].
    pub fn close(&self, consumer: ConsumerId, final_cpu: Option<Duration>) {
        self.request(Request::Close(consumer, final_cpu));
    }

    /// Reads everything now and hands the sums to `reply`, on the meter's thread. If the thread is gone, `reply` is dropped.
    pub fn snapshot(&self, reply: impl FnOnce(HostSnapshot) + Send + 'static) {
        self.request(Request::Snapshot(Box::new(reply)));
    }

    /// See [`HostMeter::obstacles`]. If the thread is gone, `reply` is dropped.
    pub fn obstacles(&self, reply: impl FnOnce(BTreeMap<String, String>) + Send + 'static) {
        self.request(Request::Obstacles(Box::new(reply)));
    }

    /// See [`HostMeter::forget`].
    pub fn forget(&self, consumer: ConsumerId, sum: Energy) {
        self.request(Request::Forget(consumer, sum));
    }

    /// See [`HostMeter::handover`]; the snapshot is of the same moment. If the thread is gone, `reply` is dropped.
    pub fn handover(&self, reply: impl FnOnce(HostSnapshot, Handover) + Send + 'static) {
        self.request(Request::Handover(Box::new(reply)));
    }

    /// See [`HostMeter::settle`]. If the thread is gone, `reply` is dropped.
    pub fn settle(
        &self,
        left: Handover,
        endings: BTreeMap<ConsumerId, Ending>,
        reply: impl FnOnce(HostSnapshot) + Send + 'static,
    ) {
        self.request(Request::Settle(Box::new(left), endings, Box::new(reply)));
    }

    /// See [`HostMeter::adopt`]. If the thread is gone, `reply` is dropped.
    pub fn adopt(
        &self,
        left: Handover,
        endings: BTreeMap<ConsumerId, Ending>,
        running: Vec<Adopted>,
        reply: impl FnOnce(HostSnapshot) + Send + 'static,
    ) {
        self.request(Request::Adopt(Box::new(left), endings, running, Box::new(reply)));
    }

    fn request(&self, request: Request) {
        // An error says that the thread is gone; a dropped reply tells the caller of a snapshot.
        let _ = self.requests.send(request);
    }
}

fn run(mut meter: HostMeter, queue: &Receiver<Request>) {
    meter.sample(); // The first reading of a counter says nothing of the past: take it before anyone opens a window.
    let mut due = Instant::now() + PERIOD;
    loop {
        let until_due = due.saturating_duration_since(Instant::now());
        let patience = if meter.integrates() { until_due.min(POWER_PERIOD) } else { until_due };
        match queue.recv_timeout(patience) {
            // Each of these samples by itself.
            Ok(Request::Open(consumer, gpus, cpus)) => meter.open(consumer, &gpus, cpus),
            Ok(Request::Attach(consumer, root, cgroup)) => meter.attach(consumer, root, cgroup),
            Ok(Request::Close(consumer, final_cpu)) => meter.close(consumer, final_cpu),
            Ok(Request::Forget(consumer, sum)) => {
                meter.forget(consumer, sum);
                continue;
            }
            Ok(Request::Obstacles(reply)) => {
                reply(meter.obstacles());
                continue;
            }
            Ok(Request::Snapshot(reply)) => reply(meter.sample()),
            Ok(Request::Handover(reply)) => {
                let snapshot = meter.sample();
                reply(snapshot, meter.handover());
            }
            Ok(Request::Adopt(left, endings, running, reply)) => reply(meter.adopt(*left, &endings, running)),
            Ok(Request::Settle(left, endings, reply)) => {
                reply(meter.settle(*left, &endings));
                continue;
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < due => {
                meter.sample_power();
                continue;
            }
            Err(RecvTimeoutError::Timeout) => drop(meter.sample()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        due = Instant::now() + PERIOD;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use gramwise_carbon::{Microjoules, Watts};

    use super::*;
    use crate::device::{Device, Raw, ReadError};
    use crate::host_tests::{host_of, uuid};

    const DEADLINE: Duration = Duration::from_secs(30);

    /// Counts its readings, ten joules each, and tells a test that holds the other end when it is dropped.
    struct Clicker {
        readings: Arc<AtomicU64>,
        _dropped: Sender<()>,
        by_power: bool,
    }

    impl Device for Clicker {
        fn name(&self) -> &'static str {
            "clicker"
        }

        fn read(&mut self) -> Result<Raw, ReadError> {
            let readings = self.readings.fetch_add(1, Ordering::SeqCst);
            if self.by_power {
                Ok(Raw::Power(Watts::new(10.0)))
            } else {
                Ok(Raw::Counter(readings * 10_000_000))
            }
        }

        fn range(&self) -> Option<u64> {
            None
        }

        fn max_power(&self) -> Option<Watts> {
            None
        }

        fn usual_power(&self) -> Watts {
            Watts::new(10.0)
        }
    }

    fn spawn(by_power: bool) -> (MeterHandle, Receiver<()>, Arc<AtomicU64>) {
        let (sender, dropped) = channel();
        let readings = Arc::new(AtomicU64::new(0));
        let clicker = Box::new(Clicker { readings: readings.clone(), _dropped: sender, by_power });
        (MeterThread::spawn(host_of(vec![clicker], vec![], 0).0).unwrap(), dropped, readings)
    }

    fn snapshot(handle: &MeterHandle) -> HostSnapshot {
        let (sender, receiver) = channel();
        handle.snapshot(move |snapshot| sender.send(snapshot).unwrap());
        receiver.recv_timeout(DEADLINE).unwrap()
    }

    #[test]
    fn requests_are_carried_out_in_order_and_each_reads_first() {
        let (handle, _dropped, _) = spawn(false);
        let consumer = ConsumerId(1);
        let before = snapshot(&handle);
        handle.open(consumer, &[uuid(0)], None);
        handle.attach(consumer, std::process::id(), None);
        let other = handle.clone();
        other.close(consumer, None);
        let after = snapshot(&handle);
        // Of the readings, at least those of attach and close fell into the window, and none before it.
        assert!(after.consumers[&consumer].gpu.measured >= Microjoules::new(20_000_000), "{after:?}");
        assert!(after.idle.gpu.measured >= before.idle.gpu.measured);
        assert_eq!(handle.inventory().hostname, "scripted");
        assert!(handle.findings().is_empty());
    }

    #[test]
    fn the_thread_reads_by_itself_and_power_more_often() {
        for (by_power, period) in [(false, PERIOD), (true, POWER_PERIOD)] {
            let (handle, _dropped, readings) = spawn(by_power);
            snapshot(&handle);
            let (before, began) = (readings.load(Ordering::SeqCst), Instant::now());
            while readings.load(Ordering::SeqCst) < before + 2 {
                assert!(began.elapsed() < DEADLINE);
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(began.elapsed() >= period * 3 / 2, "not more often than needed");
        }
    }

    #[test]
    fn the_thread_ends_with_its_last_handle() {
        let (handle, dropped, _) = spawn(false);
        let other = handle.clone();
        drop(handle);
        snapshot(&other);
        drop(other);
        let ended = dropped.recv_timeout(DEADLINE);
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
    }
}
