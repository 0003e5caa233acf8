//! A sweep searches: by a model, by baselines, to the end that its carbon is worth.

use e2e::Place;

use crate::sweeps::{Sweep, assert_balanced};

/// A sweep over the learning rate of `trial`, of eight steps.
fn sweep(place: &Place, more: &str) {
    let trial = env!("CARGO_BIN_EXE_trial");
    let text = format!(
        "name: rate\ncommand: [{trial:?}, --ms, \"8\", --checkpoint, \"${{args}}\"]\n\
         objectives: [{{name: val_error, goal: minimize}}]\n\
         parameters: {{lr: {{min: 0.01, max: 0.99}}}}\n\
         resource: {{name: epoch, max: 8, checkpoint: true}}\n{more}\n"
    );
    place.write("sweep.yaml", &text);
}

#[test]
fn a_model_finds_what_is_good_and_its_fits_are_facts() {
    let place = Place::new();
    sweep(&place, "budget: {trials: 30}");
    place.run_sweep(&["--slots", "2"]).expect(0);
    let report = place.json(&["report"]);
    assert_eq!(report["trials"]["total"], 30);
    // The floor grows with the distance from 0.1; a uniform draw is within 0.1 of it once in five.
    let best = report["best"]["config"]["lr"].as_f64().unwrap();
    assert!((0.0..0.25).contains(&best), "{report:#}");
    assert!(place.number("SELECT count(*) FROM journal WHERE kind = 'model_fitted'") >= 3);
    let by_gain = "SELECT count(*) FROM trial WHERE because -> '$.gain' IS NOT NULL";
    assert!(place.number(by_gain) > 5, "most are chosen for what they promise");
    assert_balanced(&place);
}

#[test]
fn an_earlier_sweep_teaches_a_later_one() {
    let place = Place::new();
    sweep(&place, "budget: {trials: 15}");
    place.run_sweep(&["--slots", "2"]).expect(0);
    let best = place.json(&["best"])["config"]["lr"].as_f64().unwrap();
    sweep(&place, "budget: {trials: 6}\nseed: 9\nwarm_start: rate");
    place.run_sweep(&[]).expect(0);
    let same = format!(
        "SELECT abs((config ->> '$.lr.float') - {best}) < 1e-9 FROM trial WHERE sweep = 2 AND id = 1"
    );
    assert_eq!(place.number(&same), 1, "the best of before, {best}, is tried first");
    let taught = "SELECT json_array_length(body, '$.sweep_submitted.earlier') FROM journal WHERE kind = 'sweep_submitted' \
                  ORDER BY seq DESC LIMIT 1";
    assert_eq!(place.number(taught), 15);

    let unknown = place.run_sweep(&["--warm-start", "nobody"]).expect(2);
    assert!(unknown.stderr.contains("no sweep `nobody` in the database"), "{unknown}");
    let text = place.text("sweep.yaml");
    place.write("sweep.yaml", &text.replace("max: 0.99", "max: 0.011"));
    let outside = place.run_sweep(&[]).expect(2);
    assert!(
        outside.stderr.contains("nothing can be learnt from sweep 2 (rate): trial 1 has `lr` 0."),
        "{outside}"
    );
    assert_eq!(place.number("SELECT count(*) FROM sweep"), 2, "what is refused leaves nothing");
}

#[test]
fn a_stated_price_ends_the_sweep_by_itself() {
    let place = Place::new();
    // More than any gain per kg of trials that burn about a milligram.
    sweep(&place, "budget: {trials: 1000, wall: 2m}\nprune: {gain_per_kg: 1e9}");
    place.run_sweep(&["--slots", "2"]).expect(0);
    let report = place.json(&["report"]);
    assert!(report["trials"]["total"].as_u64() < Some(60), "{report:#}");
    let why = report["ended_because"].as_str().unwrap();
    assert_eq!(why, "no trial, paused or new, is expected to gain what its carbon is worth");
}

#[test]
fn baselines_search_by_name() {
    let place = Place::new();
    sweep(&place, "budget: {trials: 12}");
    for (index, (sampler, pruner)) in
        [("tpe", "asha"), ("sobol", "hyperband"), ("random", "median"), ("gp", "none")]
            .into_iter()
            .enumerate()
    {
        place.run_sweep(&["--sampler", sampler, "--pruner", pruner]).expect(0);
        let report = place.json(&["report"]);
        assert_eq!((&report["sweep"], &report["trials"]["total"]), (&(index + 1).into(), &12.into()));
        if pruner == "none" {
            assert_eq!(report["trials"]["completed"], 12);
        }
        let is_asked_for = format!(
            "SELECT spec ->> '$.method' = '{sampler}' AND spec ->> '$.prune.rule' = '{pruner}' FROM sweep WHERE id = {}",
            index + 1
        );
        assert_eq!(place.number(&is_asked_for), 1);
    }
    let wrong = place.run_sweep(&["--sampler", "grid"]).expect(2);
    assert!(wrong.stderr.contains("needs a list of values for `lr`"), "{wrong}");
}

#[test]
fn doomed_trials_under_audit_run_to_their_end() {
    let place = Place::new();
    let hopeless = (0..15).map(|index| 0.8 + 0.01 * f64::from(index));
    let lr = [0.3, 0.2, 0.1].into_iter().chain(hopeless).collect();
    let sweep = Sweep { lr, steps: 12, judged_from: 4, more: "prune: {audit: 1}", ..Sweep::default() };
    sweep.told("--ms 30").write(&place);
    place.run_sweep(&["--slots", "1"]).expect(0);
    let pruning = &place.json(&["report"])["pruning"];
    let audited = pruning["audited"].as_u64().unwrap();
    assert!(audited > 0, "{pruning:#}");
    assert_eq!(pruning["audited_winners"], 0, "0.8 and more never falls: {pruning:#}");
    let ids = place.rows(
        "SELECT DISTINCT trial FROM decision WHERE because ->> '$.guarded.guard' = 'audit' ORDER BY trial",
    );
    assert_eq!(ids.len() as u64, audited);
    for id in ids {
        let state = format!("SELECT state = 'completed' AND step = 12 FROM trial WHERE id = {}", id[0]);
        assert_eq!(place.number(&state), 1, "trial {}", id[0]);
    }
}
