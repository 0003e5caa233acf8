//! The whole meter over scripted GPUs, in real time: what it says against the integral of the power that the script prescribes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program; what it prints is shown when it fails"
)]

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use gramwise_carbon::{Amount, Microjoules, Watts};
use gramwise_meter::{ConsumerId, HostMeter, HostSnapshot, MeterHandle, MeterThread, ProbeOptions, Status};

mod support;
use support::{machine, now, wait_until};

const ONE: ConsumerId = ConsumerId(1);
/// 100 W, a ramp to 300 W within a second from 0.5 s on, and so on for ever.
const RAMP: [(f64, f64); 3] = [(0.0, 100.0), (0.5, 100.0), (1.5, 300.0)];

/// GPU 0 draws the ramp, GPU 1 a constant 50 W; `more` are further fields of GPU 0.
fn script(more: &str) -> String {
    format!(
        r#"{{"gpus":[{{"uuid":"GPU-a","name":"Fake H100","memory_gb":80,"limit_w":700,"trace":{RAMP:?}{more}}},
                     {{"uuid":"GPU-b","name":"Fake L4","memory_gb":24,"limit_w":72,"trace":[[0,50]]}}]}}"#
    )
    .replace('(', "[")
    .replace(')', "]")
}

/// Joules of the ramp from second 0 to a second.
fn ramp(until: f64) -> f64 {
    let slope = (until - 0.5).clamp(0.0, 1.0);
    100.0 * until + 100.0 * slope * slope + 200.0 * (until - 1.5).max(0.0)
}

fn meter(library: &Path) -> HostMeter {
    let options = ProbeOptions {
        nvml_lib: Some(library.to_owned()),
        powercap: "/nonexistent".into(),
        ..ProbeOptions::default()
    };
    HostMeter::probe(&options).unwrap()
}

/// A moment known up to the time that a reading took.
type Span = (f64, f64);

fn during<T>(act: impl FnOnce() -> T) -> (T, Span) {
    let from = now();
    let value = act();
    (value, (from, now()))
}

/// Asserts that an amount is the ramp's between two moments: no less and no more than the moments' uncertainty allows, plus so
/// many joules, plus the millijoule that each reading rounds by.
fn assert_ramp(found: Microjoules, from: Span, to: Span, tolerance: f64) {
    let found = found.joules().get();
    let (least, most) = (ramp(to.0) - ramp(from.1), ramp(to.1) - ramp(from.0));
    println!("found {found:.4} J, truth {least:.4} to {most:.4} J");
    assert!(found >= least - tolerance - 0.002 && found <= most + tolerance + 0.002);
}

#[test]
fn the_counters_energy_is_the_integral_of_the_power() {
    machine("the_counters_energy_is_the_integral_of_the_power", &script(""), |library| {
        let mut meter = meter(library);
        meter.sample();
        let ((), opened) = during(|| meter.open(ONE, &["GPU-a".to_owned()], None));
        wait_until(now() + 0.7);
        let ((), closed) = during(|| meter.close(ONE, None));
        wait_until(now() + 0.1);
        let snapshot = meter.sample();
        let Amount { measured, modelled, estimated } = snapshot.consumers[&ONE].amount();
        assert_ramp(measured, opened, closed, 0.0);
        assert_eq!((modelled, estimated), (Microjoules::ZERO, Microjoules::ZERO));
        // On a machine that is not overloaded this bounds the error by far less than a per cent.
        let truth = ramp(closed.0) - ramp(opened.0);
        let uncertain = (ramp(closed.1) - ramp(closed.0) + ramp(opened.1) - ramp(opened.0)) / truth;
        let error = measured.joules().get() / truth - 1.0;
        println!("error {:.3} %, of which {:.3} % may be the test's", error * 100.0, uncertain * 100.0);
        assert!(error.abs() <= 0.01 + uncertain);
        assert!(snapshot.is_balanced(), "{snapshot:?}");
        assert!(
            snapshot.idle.gpu.measured > Microjoules::new(35_000_000),
            "the other GPU idled at 50 W: {snapshot:?}"
        );
    });
}

#[test]
fn a_counter_that_restarts_costs_an_interval_not_the_truth() {
    machine(
        "a_counter_that_restarts_costs_an_interval_not_the_truth",
        &script(r#","reset_at_s":1.0"#),
        |library| {
            let mut meter = meter(library);
            meter.open(ONE, &["GPU-a".to_owned()], None);
            let (_, from) = during(|| meter.sample());
            let before = meter.sample().consumers[&ONE].gpu.measured;
            let (mut to, mut longest) = (from, 0.0f64);
            let mut snapshot = HostSnapshot::default();
            while to.1 < 1.6 {
                let last = to.0;
                wait_until(to.1 + 0.25);
                (snapshot, to) = during(|| meter.sample());
                longest = longest.max(to.1 - last);
                assert!(snapshot.is_balanced(), "{snapshot:?}");
            }
            let energy = snapshot.consumers[&ONE];
            println!("{energy:?}");
            assert!(energy.gpu.estimated > Microjoules::ZERO, "the interval of the restart is an estimate");
            assert!(energy.gpu.estimated.joules().get() < 300.0 * longest, "and only that: {energy:?}");
            // The interval is filled with the mean power of the one before; the ramp rises by 200 W a second.
            assert_ramp(energy.total().saturating_sub(before), from, to, 200.0 * longest * longest);
        },
    );
}

#[test]
fn a_gpu_without_a_counter_is_measured_by_its_power() {
    machine("a_gpu_without_a_counter_is_measured_by_its_power", &script(r#","counter":false"#), |library| {
        let meter = meter(library);
        assert_eq!(meter.findings()[0].how, "NVML power, integrated");
        let handle = MeterThread::spawn(meter).unwrap();
        handle.open(ONE, &["GPU-a".to_owned()], None);
        let (first, from) = during(|| snapshot(&handle));
        wait_until(now() + 0.9);
        let (last, to) = during(|| snapshot(&handle));
        let grown = last.consumers[&ONE].since(&first.consumers[&ONE]).unwrap();
        assert_eq!(grown.total(), grown.gpu.measured);
        assert_ramp(grown.gpu.measured, from, to, 0.02 * ramp(to.1));
        assert!(last.is_balanced(), "{last:?}");
    });
}

fn snapshot(handle: &MeterHandle) -> HostSnapshot {
    let (sender, receiver) = channel();
    handle.snapshot(move |snapshot| sender.send(snapshot).unwrap());
    receiver.recv().unwrap()
}

#[test]
fn a_gpu_that_falls_off_the_bus_keeps_its_cost_and_its_neighbour() {
    machine(
        "a_gpu_that_falls_off_the_bus_keeps_its_cost_and_its_neighbour",
        &script(r#","lost_at_s":1.0"#),
        |library| {
            let mut meter = meter(library);
            meter.open(ONE, &["GPU-a".to_owned()], None);
            wait_until(0.9);
            let before = meter.sample();
            wait_until(1.2);
            let after = meter.sample();
            let grown = after.consumers[&ONE].since(&before.consumers[&ONE]).unwrap();
            assert_eq!(grown.gpu.measured, Microjoules::ZERO, "nothing is measured on a lost card");
            assert!(grown.gpu.estimated > Microjoules::ZERO, "{grown:?}");
            assert!(after.idle.gpu.measured > before.idle.gpu.measured, "the other one is still measured");
            assert!(after.is_balanced(), "{after:?}");
        },
    );
}

#[test]
fn a_counter_that_lies_is_not_believed() {
    for percent in [0, 1000] {
        let more = format!(r#","counter_percent":{percent},"offset_mj":0"#);
        machine("a_counter_that_lies_is_not_believed", &script(&more), |library| {
            let mut meter = meter(library);
            let how = &meter.findings()[0].how;
            assert!(how.starts_with("NVML power, integrated: its energy counter says "), "{how}");
            meter.sample();
            let ((), from) = during(|| meter.open(ONE, &["GPU-a".to_owned()], None));
            while now() < from.1 + 0.6 {
                wait_until(now() + 0.05);
                meter.sample();
            }
            let ((), to) = during(|| meter.close(ONE, None));
            // Trapezoids of 50 ms over the ramp's corners.
            assert_ramp(meter.sample().consumers[&ONE].gpu.measured, from, to, 1.0);
        });
    }
}

#[test]
fn the_inventory_says_what_nvml_says() {
    machine("the_inventory_says_what_nvml_says", &script(""), |library| {
        let meter = meter(library);
        let gpus = &meter.inventory().gpus;
        let names: Vec<(&str, &str)> =
            gpus.iter().map(|gpu| (gpu.uuid.as_str(), gpu.name.as_str())).collect();
        assert_eq!(names, [("GPU-a", "Fake H100"), ("GPU-b", "Fake L4")]);
        assert_eq!(gpus[0].memory_bytes, 80 << 30);
        assert_eq!(gpus[1].power_limit, Some(Watts::new(72.0)));
        let finding = &meter.findings()[1];
        assert_eq!((finding.component.as_str(), finding.status), ("gpu 1 (Fake L4)", Status::Measured));
        // 50 W all the time: the counter and the power agree but for the moments of reading.
        let share = finding
            .how
            .strip_prefix("NVML energy counter (")
            .and_then(|rest| rest.strip_suffix(" % of its power over 0.5 s)"));
        let share: f64 = share.unwrap_or_else(|| panic!("{}", finding.how)).parse().unwrap();
        assert!((share - 100.0).abs() <= 2.0, "{share} %");
    });
}

/// A card at a constant 700 W, of whose seven slices an instance of three and one of two are made.
#[test]
fn instances_of_a_card_have_their_part_of_it_and_what_is_not_seen_is_of_others() {
    let script = r#"{"gpus":[{"uuid":"GPU-cut","trace":[[0,700]],"mig":[{"uuid":"MIG-three","slices":3},{"uuid":"MIG-two","slices":2}]}]}"#;
    machine(
        "instances_of_a_card_have_their_part_of_it_and_what_is_not_seen_is_of_others",
        script,
        |library| {
            let mut meter = meter(library);
            let uuids: Vec<&str> = meter.inventory().gpus.iter().map(|gpu| gpu.uuid.as_str()).collect();
            assert_eq!(uuids, ["MIG-three", "MIG-two"], "the card itself cannot be leased");
            assert_eq!(meter.inventory().gpus[0].name, "Fake H100 MIG 3 of 7");
            let finding = &meter.findings()[0];
            assert_eq!(
                (finding.status, finding.how.ends_with("shared by slices among 2 MIG instances")),
                (Status::Modelled, true),
                "{finding:?}"
            );
            meter.sample();
            meter.open(ONE, &["MIG-three".to_owned(), "GPU-cut".to_owned()], None);
            let before = meter.sample();
            std::thread::sleep(Duration::from_millis(700));
            let after = meter.sample();
            assert!(after.is_balanced());
            let grown = after.consumers[&ONE].gpu.since(&before.consumers[&ONE].gpu).unwrap();
            let idle = after.idle.gpu.since(&before.idle.gpu).unwrap();
            assert_eq!(
                (grown.measured, idle.measured),
                (Microjoules::ZERO, Microjoules::ZERO),
                "a part of a counter is modelled"
            );
            let other = after.other.gpu.since(&before.other.gpu).unwrap();
            let [part, waits, others] = [grown, idle, other].map(|amount| amount.modelled.get() as f64);
            assert!(
                (part / (part + waits + others) - 3.0 / 7.0).abs() < 1e-6,
                "{part} of {}",
                part + waits + others
            );
            assert!(
                (waits / others - 1.0).abs() < 1e-6,
                "two slices wait, two are of no instance that is seen"
            );
        },
    );
}
