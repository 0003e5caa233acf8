//! The meter on the machine that runs the tests, whatever that has: real processes, real clocks.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gramwise_carbon::Energy;
use gramwise_meter::{ConsumerId, HostMeter, ProbeOptions};

const ONE: ConsumerId = ConsumerId(1);
const TWO: ConsumerId = ConsumerId(2);
const DEADLINE: Duration = Duration::from_secs(30);

/// A process that is busy until it is dropped, also by a test that fails.
struct Busy(Child);

impl Busy {
    fn start() -> std::io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_host_is_metered_somehow_and_says_how() {
    let meter = HostMeter::probe(&ProbeOptions { no_gpu: true, ..ProbeOptions::default() }).unwrap();
    let components: Vec<&str> = meter.findings().iter().map(|finding| finding.component.as_str()).collect();
    assert_eq!(components, ["cpu", "memory", "rest of the node"]);
    assert!(meter.findings().iter().all(|finding| !finding.how.is_empty()));
    assert!(meter.inventory().cpus > 0 && meter.inventory().memory_bytes > 0);
}

#[test]
fn a_busy_process_is_charged_to_its_consumer_and_one_that_ended_to_nobody() {
    let options = ProbeOptions { no_gpu: true, ..ProbeOptions::default() };
    let mut meter = HostMeter::probe(&options).unwrap();
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let busy = Busy::start().unwrap();
    meter.sample();
    meter.open(ONE, &[], None);
    meter.attach(ONE, busy.0.id(), None);
    meter.open(TWO, &[], None);
    meter.attach(TWO, ended.id(), None);
    let began = Instant::now();
    let mut snapshot = meter.sample();
    // Beyond what its memory may come to: a shell holds a few megabytes.
    while snapshot.consumers[&ONE].joules().get() < 0.5 {
        assert!(began.elapsed() < DEADLINE, "{snapshot:?}");
        std::thread::sleep(Duration::from_millis(20));
        snapshot = meter.sample();
        assert!(snapshot.is_balanced());
    }
    drop(busy);
    meter.close(ONE, None);
    let closed = meter.sample().consumers;
    assert!(closed[&ONE].since(&snapshot.consumers[&ONE]).is_some());
    assert_eq!(closed[&TWO], Energy::ZERO);
    assert_eq!(meter.sample().consumers, closed, "a closed window stays as it is");
}
