//! One command, metered: it has its terminal, its files and its exit code, and what it burnt is said beside.

use std::time::{Duration, Instant};

use e2e::{DEADLINE, Place, Running, eventually, run};
use rustix::process::Signal;
use serde_json::Value;

use crate::nvml::{CONSTANT_W, clock, library, on_gpus};

/// What `--to` wrote.
fn told(place: &Place) -> Value {
    serde_json::from_str(&place.text("told.json")).unwrap()
}

#[test]
fn a_command_keeps_its_output_and_its_exit_code() {
    let place = Place::new();
    let done = place.gramwise(&["meter", "--no-gpu", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    let done = done.expect(7);
    assert_eq!(done.stdout, "out\n");
    assert!(done.stderr.starts_with("err\n"), "{done}");
    assert!(done.stderr.contains("exit code 7 after 0."), "{done}");
    assert!(done.stderr.contains("\ngrid     WORLD 473 g/kWh"), "{done}");

    let killed = place.gramwise(&["meter", "--no-gpu", "--quiet", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.expect(143).stderr, "", "quiet says nothing, as there is nothing wrong");
    let missing = place.gramwise(&["meter", "--no-gpu", "--", "no-such-program"]).expect(127);
    assert!(missing.stderr.contains("cannot start `no-such-program`"), "{missing}");
    let zone = place.gramwise(&["meter", "--zone", "franc", "--", "true"]).expect(2);
    assert!(zone.stderr.contains("hint: zones like it: FR (France)"), "{zone}");
    let gpu = place.gramwise(&["meter", "--no-gpu", "--gpu", "GPU-1", "--", "true"]).expect(2);
    assert!(gpu.stderr.contains("no GPU `GPU-1` on this machine"), "{gpu}");
}

#[test]
fn processor_time_counts_also_that_of_orphans_that_ended() {
    let place = Place::new();
    let burn = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
    let joules = |command: &str| {
        place
            .gramwise(&["meter", "--no-gpu", "--to", "told.json", "-o", "json", "--", "sh", "-c", command])
            .expect(0);
        let energy = &told(&place)["energy_by_provenance"];
        energy["modelled_uj"].as_f64().unwrap() + energy["estimated_uj"].as_f64().unwrap()
    };
    let own = joules(burn);
    assert!(own > 0.0);
    // Its parent is gone before it is done, and it is done before the command is.
    place.write("orphan.sh", &format!("({burn}; : > done) &\n"));
    let orphan = joules("rm -f done; sh orphan.sh; until [ -e done ]; do sleep 0.05; done");
    assert!(orphan > 0.5 * own, "{orphan} against {own}");
}

#[test]
fn a_gpu_is_charged_while_the_command_runs_and_only_where_it_is_asked_for() {
    library(); // Built before the clock runs.
    let place = Place::new();
    for (gpus, expected_w) in [(vec!["--gpu", "GPU-constant"], CONSTANT_W), (vec!["--gpu", "GPU-ramps"], 0.0)]
    {
        let mut arguments = vec!["meter", "--to", "told.json", "-o", "json"];
        arguments.extend(gpus);
        // The ramps are over.
        let mut command = on_gpus(&place, &arguments, clock().saturating_sub(Duration::from_secs(10)));
        command.args(["--", "sleep", "1.5"]);
        run(&mut command).expect(0);
        let told = told(&place);
        let measured = told["energy_by_provenance"]["measured_uj"].as_f64().unwrap() / 1e6;
        let expected = expected_w * told["took_s"].as_f64().unwrap();
        assert!((measured - expected).abs() <= 0.02 * expected + 1e-6, "{measured} J against {expected} J");
        let idle = told["host"]["idle_j"].as_f64().unwrap();
        assert!(expected_w > 0.0 || idle > CONSTANT_W, "the other GPU is idle: {told:#}");
    }
}

#[test]
fn a_word_to_end_reaches_the_command() {
    let place = Place::new();
    let mut command = place.command(&["meter", "--no-gpu", "--to", "told.json", "-o", "json", "--"]);
    command.args(["sh", "-c", "trap 'exit 9' TERM; : > started; while :; do sleep 0.05; done"]);
    let began = Instant::now();
    let running = Running::start(&mut command);
    eventually("the command runs", DEADLINE, || {
        if place.path("started").exists() { Ok(()) } else { Err("not yet".to_owned()) }
    });
    running.signal(Signal::TERM);
    running.wait().expect(9);
    assert_eq!(told(&place)["exit_code"], 9);
    assert!(told(&place)["took_s"].as_f64().unwrap() <= began.elapsed().as_secs_f64());
}
