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

#[test]
fn a_meter_of_the_node_shows_the_rest_and_one_that_does_not_work_is_refused() {
    let place = Place::new();
    place.write("watts", "500 W\n");
    let node = ["--no-gpu", "--node", "exec:cat watts"];
    let command =
        [&["meter"][..], &node, &["--to", "told.json", "-o", "json", "--", "sleep", "2.5"]].concat();
    place.gramwise(&command).expect(0);
    let told = told(&place);
    let parts = &told["energy_by_component"];
    let part = |name: &str| parts[name].as_f64().unwrap() / 1e6;
    let all = ["gpu_uj", "cpu_uj", "memory_uj", "rest_uj"].map(part).iter().sum::<f64>();
    let host = &told["host"];
    let host: f64 = ["idle_j", "overhead_j", "other_j"].map(|name| host[name].as_f64().unwrap()).iter().sum();
    let expected = 500.0 * told["took_s"].as_f64().unwrap();
    assert!((all + host - expected).abs() < 0.15 * expected, "{} J of {expected} J: {told:#}", all + host);
    assert!(host > 0.5 * expected, "most of it follows memory that nobody uses");
    let doctor = place.gramwise(&[&["doctor"][..], &node, &["-o", "json"]].concat()).expect(0);
    let findings: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let rest =
        findings.as_array().unwrap().iter().find(|one| one["component"] == "rest of the node").unwrap();
    assert_eq!(rest["status"], "measured");
    let refused = place.gramwise(&["meter", "--node", "exec:echo none", "--", "true"]);
    assert!(
        refused.stderr.contains("cannot use the meter of the node: `echo none` printed `none`"),
        "{refused}"
    );
    let unknown = place.gramwise(&["doctor", "--node", "ipmi"]).expect(2);
    assert!(unknown.stderr.contains("`ipmi` is no meter of a node"), "{unknown}");
}

/// Counters that follow how busy this machine is: a package of 20 W, 30 W more when all is busy, and a node of 40 W and 1.5 times the package.
fn follow_the_load(folder: &std::path::Path, stop: &std::sync::atomic::AtomicBool) {
    let zone = folder.join("powercap/intel-rapl:0");
    std::fs::create_dir_all(&zone).unwrap();
    for (file, text) in [("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "0")] {
        std::fs::write(zone.join(file), text).unwrap();
    }
    let busy_and_all = || {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let ticks: Vec<f64> = stat
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .skip(1)
            .map(|word| word.parse().unwrap())
            .collect();
        let all: f64 = ticks.iter().take(8).sum();
        (all - ticks[3] - ticks[4], all)
    };
    let (mut package, mut node, mut before, mut at) = (0.0, 0.0, busy_and_all(), Instant::now());
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        let (now, seconds) = (busy_and_all(), at.elapsed().as_secs_f64());
        let load = ((now.0 - before.0) / (now.1 - before.1).max(1.0)).clamp(0.0, 1.0);
        let watts = 20.0 + 30.0 * load;
        package += watts * seconds;
        node += (40.0 + 1.5 * watts) * seconds;
        (before, at) = (now, Instant::now());
        for (name, text) in
            [("energy_uj", format!("{:.0}", package * 1e6)), ("node", format!("{node:.3} J\n"))]
        {
            let (beside, file) =
                (zone.join("beside"), if name == "node" { folder.join(name) } else { zone.join(name) });
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(&beside, file).unwrap();
        }
    }
}

#[test]
fn a_calibration_learns_what_is_drawn_anyway_and_is_used() {
    let place = Place::new();
    place.write("node", "0 J\n");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let folder = place.path("");
    std::thread::scope(|scope| {
        scope.spawn(|| follow_the_load(&folder, &stop));
        eventually("the counters are there", DEADLINE, || {
            if place.path("powercap/intel-rapl:0/energy_uj").exists() {
                Ok(())
            } else {
                Err("not yet".to_owned())
            }
        });
        let devices = ["--no-gpu", "--powercap", "powercap", "--host-profile", "host.json"];
        let phases = ["--idle-time", "3s", "--load-time", "8s", "--node", "exec:cat node", "-o", "json"];
        let done = place.gramwise(&[&["calibrate"][..], &devices, &phases].concat()).expect(0);
        let profile: Value = serde_json::from_str(&done.stdout).unwrap();
        let idle = profile["idle_w"]["package-0"].as_f64().unwrap();
        // Other tests run beside.
        assert!((19.0..52.0).contains(&idle), "{profile:#}");
        let node = &profile["node"];
        assert!(node["factor"].as_f64().is_some() && node["base_w"].as_f64().is_some(), "{profile:#}");
        let doctor = place.gramwise(&[&["doctor"][..], &devices].concat()).expect(0);
        assert!(doctor.stdout.contains("of the components (calibrated "), "{doctor}");
        let command =
            [&["meter"][..], &devices, &["--to", "told.json", "-o", "json", "--", "sleep", "1.2"]].concat();
        place.gramwise(&command).expect(0);
        assert!(told(&place)["host"]["idle_j"].as_f64().unwrap() > 1.0);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let nothing = place.gramwise(&[
        "calibrate",
        "--no-gpu",
        "--idle-time",
        "1s",
        "--load-time",
        "1s",
        "--powercap",
        "none",
    ]);
    assert_eq!(nothing.code, Some(2), "{nothing}");
    assert!(nothing.stderr.contains("nothing was learnt"), "{nothing}");
}
