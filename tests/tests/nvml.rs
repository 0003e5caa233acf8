//! Trials on GPUs whose power is known beforehand: the ledger must hold the integral.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use e2e::{DEADLINE, Place, Running, built, eventually, gramwise};
use rustix::time::{ClockId, clock_gettime};

use crate::sweeps::{Sweep, assert_balanced, noted};

/// By this time of the script trials have begun: nothing is drawn by its first GPU before.
const BEGUN: Duration = Duration::from_secs(3);
/// The energy of the first GPU in all: up in a straight line to 400 W in 1 s, there for 0.4 s, down in 1 s.
const RAMPS_J: f64 = 200.0 + 160.0 + 200.0;
/// By this time it is over.
const OVER: Duration = Duration::from_millis(5500);
/// The power of the second GPU, at all times.
pub(crate) const CONSTANT_W: f64 = 150.0;
const SCRIPT: &str = r#"{"gpus": [
    {"uuid": "GPU-ramps", "trace": [[3, 0], [4, 400], [4.4, 400], [5.4, 0]]},
    {"uuid": "GPU-constant", "trace": [[0, 150]]}]}"#;

/// The clock of the script: since boot.
pub(crate) fn clock() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

pub(crate) fn since(beginning: Duration) -> Duration {
    clock().saturating_sub(beginning)
}

pub(crate) fn library() -> PathBuf {
    gramwise(); // Built as well before any clock runs.
    built("fake-nvml", "libfake_nvml.so")
}

/// `gramwise ARGUMENTS` on a host with the script's GPUs, whose time 0 is at `epoch`.
pub(crate) fn on_gpus(place: &Place, arguments: &[&str], epoch: Duration) -> Command {
    on_scripted_gpus(place, arguments, SCRIPT, epoch)
}

/// The same with other GPUs.
pub(crate) fn on_scripted_gpus(place: &Place, arguments: &[&str], script: &str, epoch: Duration) -> Command {
    let mut command = place.command(arguments);
    command
        .arg("--nvml-lib")
        .arg(library())
        .env("FAKE_NVML_SCRIPT", place.write("gpus.json", script))
        .env("FAKE_NVML_EPOCH_NS", epoch.as_nanos().to_string());
    command
}

/// The measured joules that SQL selects.
fn joules(place: &Place, from: &str) -> f64 {
    let sum = format!("SELECT coalesce(sum(measured_uj), 0) FROM ledger_entry {from}");
    place.number(&sum) as f64 / 1e6
}

#[test]
fn a_trial_is_charged_the_integral_of_its_gpu_s_power() {
    library(); // Built before the clock runs.
    let place = Place::new();
    let more = "resources: {gpus: 1}\ncarbon: {zone: FR, pue: 1.5}";
    let sweep = Sweep { lr: vec![0.1, 0.2], steps: 1, judged_from: 1, more, ..Sweep::default() };
    sweep.noting_pids(&place).held(&place, 1).write(&place);
    let began = clock();
    let running = Running::start(&mut on_gpus(&place, &["run", "sweep.yaml", "--quiet"], began));
    eventually("a trial on each GPU", DEADLINE, || {
        let noted = noted(&place);
        if noted.len() == 2 { Ok(()) } else { Err(format!("{noted:?}")) }
    });
    let both_run = since(began);
    assert!(both_run < BEGUN, "too slow a machine: trials began after {both_run:?}");
    eventually("the script is over", DEADLINE, || {
        let now = since(began);
        if now > OVER { Ok(()) } else { Err(format!("it is at {now:?}")) }
    });
    let let_go = since(began);
    place.write("go", "");
    running.wait().expect(0);
    let life = since(began);
    assert_balanced(&place);

    let on = |uuid: &str| {
        place.number(&format!("SELECT trial FROM attempt WHERE gpus = json_array('{uuid}') AND number = 1"))
    };
    let ramps = joules(&place, &format!("WHERE trial = {}", on("GPU-ramps")));
    assert!((ramps / RAMPS_J - 1.0).abs() < 0.01, "{ramps} J, integral {RAMPS_J} J");

    // At a constant power the integral is the time: at least the one that was seen from here, at most that of the lease.
    let trial = on("GPU-constant");
    let constant = joules(&place, &format!("WHERE trial = {trial}"));
    let lease =
        place.number(&format!("SELECT ended_at_ms - leased_at_ms FROM attempt WHERE trial = {trial}"));
    let at_least = (let_go.as_secs_f64() - both_run.as_secs_f64()) * CONSTANT_W;
    let at_most = (lease + 2) as f64 / 1000.0 * CONSTANT_W;
    assert!((at_least..=at_most).contains(&constant), "{constant} J, between {at_least} J and {at_most} J");
    assert!(at_least > 0.9 * at_most, "bounds that say something: {at_least} J and {at_most} J");

    // Outside its lease the GPU is idle. Together that is the time in which there was a meter.
    let idle = joules(&place, "WHERE account = 'idle'");
    let life = life.as_secs_f64() * CONSTANT_W;
    assert!(constant + idle <= life, "{constant} J and {idle} J, of {life} J at most");
    assert!(idle < 0.1 * constant, "{idle} J idle, {constant} J used");
    let all = joules(&place, "");
    assert!((all - ramps - constant - idle).abs() < 1e-6, "nothing else is measured: {all} J");
}

#[test]
fn every_trial_finds_its_own_gpu() {
    let place = Place::new();
    let file = place.path("environment").display().to_string();
    let more = "resources: {gpus: 1}";
    let sweep = Sweep { lr: vec![0.1, 0.2, 0.3, 0.4], more, ..Sweep::default() };
    sweep.told(&format!("--environment {file}")).write(&place);
    Running::start(&mut on_gpus(&place, &["run", "sweep.yaml", "--quiet"], clock())).wait().expect(0);
    for trial in 1..=4 {
        let environment = place.text(&format!("environment-{trial}-1"));
        let gpu = environment.lines().find_map(|line| line.strip_prefix("CUDA_VISIBLE_DEVICES=")).unwrap();
        let sql =
            format!("SELECT count(*) FROM attempt WHERE trial = {trial} AND gpus = json_array('{gpu}')");
        assert_eq!(place.number(&sql), 1, "the GPU of trial {trial} is `{gpu}`");
    }
}

#[test]
fn no_gpu_is_leased_twice_at_a_time() {
    let place = Place::new();
    Sweep { lr: vec![0.1, 0.2, 0.3, 0.4], more: "resources: {gpus: 1}", ..Sweep::default() }.write(&place);
    Running::start(&mut on_gpus(&place, &["run", "sweep.yaml", "--quiet"], clock())).wait().expect(0);
    let overlaps = "SELECT a.trial, a.leased_at_ms, a.ended_at_ms, b.trial, b.leased_at_ms, b.ended_at_ms
                    FROM attempt a JOIN attempt b ON a.gpus = b.gpus AND a.trial < b.trial
                    WHERE a.leased_at_ms < b.ended_at_ms AND b.leased_at_ms < a.ended_at_ms";
    assert_eq!(place.rows(overlaps), Vec::<Vec<i64>>::new(), "trial, from, to, of both");
}

#[test]
fn a_sweep_that_needs_more_gpus_than_there_are_is_refused() {
    let place = Place::new();
    Sweep { more: "resources: {gpus: 3}", ..Sweep::default() }.write(&place);
    let done = Running::start(&mut on_gpus(&place, &["run", "sweep.yaml"], clock())).wait().expect(2);
    assert!(done.stderr.contains("a trial needs 3 GPUs"), "{done}");
    assert!(done.stderr.contains("\nhint: "), "{done}");
    let done = place.run_sweep(&[]).expect(2);
    assert!(done.stderr.contains("this machine has 0"), "{done}");
    assert_eq!(place.names(), ["gpus.json", "sweep.yaml"], "nothing is created");
}

#[test]
fn doctor_sees_the_gpus() {
    let place = Place::new();
    let done = Running::start(&mut on_gpus(&place, &["doctor", "-o", "csv"], clock())).wait().expect(0);
    assert_eq!(done.stdout.matches(",measured,NVML").count(), 2, "{done}");
}

#[test]
fn a_gpu_that_others_compute_on_is_left_alone_until_it_is_free() {
    library();
    let script = r#"{"gpus": [
        {"uuid": "GPU-taken", "trace": [[0, 100]], "others": [{"pid": 999999999, "memory_gb": 30, "until_s": 3}]}]}"#;
    for use_it in [false, true] {
        let place = Place::new();
        let more = "resources: {gpus: 1}";
        Sweep { lr: vec![0.1], steps: 1, judged_from: 1, more, ..Sweep::default() }.write(&place);
        let began = clock();
        let words = ["run", "sweep.yaml"];
        let words = [&words[..], if use_it { &["--use-busy-gpus"] } else { &[] }].concat();
        let done = Running::start(&mut on_scripted_gpus(&place, &words, script, began)).wait().expect(0);
        if !use_it {
            assert!(since(began) > Duration::from_secs(3), "the trial ended before the GPU was free");
        }
        let says = |what: &str| done.stderr.contains(what);
        let told = says("GPU-taken is left alone: others compute on it: process 999999999, 30.0 GB")
            && says("GPU-taken is free again");
        assert_eq!(told, !use_it, "{done}");
    }
}
