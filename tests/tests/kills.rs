//! kill -9 at any moment: what the counters went on counting is told by the next life, and nothing is booked twice. Whose it was is
//! told by the power before; where that had just changed, at most one period of the meter is taken for others'.
//!
//! `GRAMWISE_KILLS=50 cargo test --release -p e2e kills -- --nocapture` runs the long campaign.

use std::time::Duration;

use e2e::{DEADLINE, Running, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::nvml::{clock, library, on_scripted_gpus, since};
use crate::serve::Site;
use crate::sweeps::{Sweep, all_gone, assert_balanced, noted};

const POWER_W: f64 = 150.0;
/// The GPU draws nothing before, so that it does not matter when the meter began.
const FROM: f64 = 4.0;
/// The meter reads once a second.
const PERIOD_S: f64 = 1.0;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whom {
    /// Coordinator and worker in one process.
    Run,
    Coordinator,
    Worker,
    Trial,
}

fn campaign() -> u64 {
    std::env::var("GRAMWISE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn what_is_killed_is_told_by_the_next_life() {
    library(); // Built before the clock runs.
    for seed in 0..campaign() {
        for whom in [Whom::Run, Whom::Coordinator, Whom::Worker, Whom::Trial] {
            // Moments that spread evenly however many there are.
            let moment = FROM + 0.2 + 2.8 * (seed as f64 * 0.618_034).fract();
            // A busy machine may be late for the script: then it is played again.
            assert!(
                (0..5).any(|_| killed_at(moment, whom)),
                "too slow a machine: no trial began within {FROM} s"
            );
        }
    }
}

/// A trial on a GPU that draws power until the moment of the kill and nothing afterwards. `false` if it began too late for that.
#[expect(clippy::print_stdout, reason = "what was lost, for who runs the campaign with --nocapture")]
fn killed_at(moment: f64, whom: Whom) -> bool {
    let site = Site::new();
    let place = &site.place;
    let script = format!(
        r#"{{"gpus": [{{"uuid": "GPU-a", "trace": [[0, 0], [{FROM}, 0], [{FROM}, {POWER_W}], [{moment}, {POWER_W}], [{moment}, 0]]}}]}}"#
    );
    let more = "resources: {gpus: 1}\nretry: {max: 2}";
    let sweep = Sweep { lr: vec![0.1], steps: 3, judged_from: 3, more, ..Sweep::default() };
    sweep.told("--ms 10").noting_pids(place).held(place, 1).write(place);
    let began = clock();
    let start = |arguments: &[&str]| Running::start(&mut on_scripted_gpus(place, arguments, &script, began));
    let run = || start(&["run", "sweep.yaml", "--quiet"]);
    let worker =
        || start(&["worker", "--quiet", "--coordinator", &site.url, "--files", "files", "--orphaned", "1s"]);
    // What is killed, and what goes on beside it.
    let (victim, others) = match whom {
        Whom::Run | Whom::Trial => (run(), Vec::new()),
        Whom::Coordinator | Whom::Worker => {
            let (coordinator, worker) = (site.serve(), worker());
            place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url]).expect(0);
            if whom == Whom::Worker { (worker, vec![coordinator]) } else { (coordinator, vec![worker]) }
        }
    };
    eventually("the trial runs", DEADLINE, || {
        if noted(place).is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
    });
    if since(began).as_secs_f64() >= FROM {
        println!("{whom:?}: the trial began after {:.1} s", since(began).as_secs_f64());
        for process in std::iter::once(victim).chain(others) {
            process.signal(Signal::TERM);
            process.wait();
        }
        return false;
    }
    std::thread::sleep(Duration::from_secs_f64(moment).saturating_sub(since(began)));
    let back = if whom == Whom::Trial {
        let (pid, _) = noted(place).into_values().flatten().find(|(_, role)| role == "trial").unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        place.write("go", "");
        victim
    } else {
        victim.signal(Signal::KILL);
        victim.wait();
        if whom != Whom::Coordinator {
            eventually("nothing is left of the trial", DEADLINE, || all_gone(place));
        }
        place.write("go", "");
        match whom {
            Whom::Run | Whom::Trial => run(),
            Whom::Coordinator => site.serve(),
            Whom::Worker => worker(),
        }
    };
    site.ended(1);
    let is_alone = others.is_empty();
    // Workers first: then all is told.
    let (first, then) = if whom == Whom::Coordinator { (others, vec![back]) } else { (vec![back], others) };
    for process in first.into_iter().chain(then) {
        if !is_alone {
            process.signal(Signal::TERM);
        }
        process.wait().expect(0);
    }
    assert_balanced(place);
    assert_eq!(place.number("SELECT count(*) FROM trial WHERE state = 'completed'"), 1);
    let booked = place.number("SELECT sum(gpu_uj) FROM ledger_entry") as f64 / 1e6;
    let truth = POWER_W * (moment - FROM);
    let others = "SELECT sum(coalesce(other ->> '$.gpu.measured', 0) + coalesce(other ->> '$.gpu.modelled', 0)) FROM host";
    let others = place.number(others) as f64 / 1e6;
    let lost = truth - booked;
    println!("{whom:?} killed at {moment:.3} s: {booked:.1} J of {truth:.1} J, {lost:.1} J lost");
    // The counter is in millijoules.
    assert!((lost - others).abs() <= 0.01, "{whom:?} at {moment} s: {booked} J and {others} J of {truth} J");
    let allowed = match whom {
        Whom::Run | Whom::Worker => POWER_W * PERIOD_S,
        // Nobody who meters was killed.
        Whom::Coordinator | Whom::Trial => 0.01,
    };
    assert!(lost <= allowed, "{whom:?} killed at {moment} s: {booked} J were booked of {truth} J");
    true
}
