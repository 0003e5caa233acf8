//! Why was a trial pruned? With the numbers it was decided on.

use std::sync::OnceLock;

use e2e::Place;
use serde_json::Value;

use crate::sweeps::Sweep;

/// The trial that stays where it is.
const FLAT: i64 = 14;
/// The trial with the best end.
const BEST: i64 = 3;

/// Three trials whose error falls to the end, each better than the one before; nine that are hopeless at the fourth epoch,
/// where trials are compared; and, when the search has a model of how curves go on, two more that are as hopeless.
fn pruned() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        let hopeless = (0..11).map(|index| 0.97 - 0.01 * f64::from(index));
        let lr = [0.3, 0.2, 0.1].into_iter().chain(hopeless).collect();
        let sweep = Sweep { lr, steps: 12, judged_from: 4, ..Sweep::default() };
        sweep.told("--ms 60").write(&place);
        place.run_sweep(&["--slots", "1"]).expect(0);
        place
    })
}

#[test]
fn a_trial_is_pruned_by_what_it_still_promises() {
    let place = pruned();
    let explained = place.json(&["explain", &FLAT.to_string()]);
    assert_eq!(explained["state"], "pruned", "{explained:#}");
    assert_eq!(explained["verdict"], "prune");
    let because = &explained["because"]["gain"];
    let number = |key: &str| because[key].as_f64().unwrap_or_else(|| panic!("no {key} in {explained:#}"));
    assert!(number("gain_per_kg") < number("threshold_per_kg"), "{explained:#}");
    let per_kg = number("expected_gain") / number("grams_left") * 1000.0;
    assert!((number("gain_per_kg") - per_kg).abs() <= 1e-9 * per_kg.abs(), "{explained:#}");
    assert!(number("grams_left") > 0.0 && number("gain_sd") >= 0.0, "{explained:#}");
    assert_eq!(because["incumbent"], BEST, "{explained:#}");
    assert!((number("value") - 0.87).abs() < 1e-9, "what it had reached: {explained:#}");
    assert!(number("grams_to_last") >= number("grams_left"), "it may stop again: {explained:#}");
    assert!((0.0..0.5).contains(&number("chance")), "{explained:#}");
    let step = because["step"].as_u64().unwrap();
    assert!((4..12).contains(&step), "spared the rest of the training: {explained:#}");
    assert_eq!(place.number(&format!("SELECT max(step) < 12 FROM step WHERE trial = {FLAT}")), 1);
}

#[test]
fn the_reason_is_told_in_words() {
    let place = pruned();
    let said = place.gramwise(&["explain", &FLAT.to_string()]).expect(0).stdout;
    let json = place.json(&["explain", &FLAT.to_string()]);
    let step = &json["because"]["gain"]["step"];
    for expected in [
        &format!("trial {FLAT} was pruned at epoch {step}\n"),
        &format!("  val_error 0.87 at epoch {step}; predicted "),
        " ± ",
        " at epoch 12 (learnt from ",
        "  expected gain ",
        &format!(" val_error over trial {BEST} ("),
        "  predicted grams left ",
        "  gain per kg ",
        " < threshold ",
        " % to end better\n",
    ] {
        assert!(said.contains(expected), "`{expected}` is not in:\n{said}");
    }
}

#[test]
fn every_decision_is_kept_those_to_go_on_too() {
    let place = pruned();
    let json = place.json(&["explain", &BEST.to_string()]);
    let decisions = json["decisions"].as_array().unwrap();
    let verdicts: Vec<&str> =
        decisions.iter().map(|decision| decision["verdict"].as_str().unwrap()).collect();
    assert!(verdicts.len() >= 2 && verdicts.iter().all(|verdict| *verdict == "continue"), "{verdicts:?}");
    let steps: Vec<u64> = decisions.iter().map(|decision| decision["step"].as_u64().unwrap()).collect();
    // At the rungs 4 and 8, or at a later step where several came in one report.
    assert!((4..8).contains(&steps[0]) && (8..=12).contains(&steps[1]), "{steps:?}");
    assert!(decisions.is_sorted_by_key(|decision| decision["at_ms"].as_u64()));
    // What is explained is what was written when it was decided.
    let journal = place.number(&format!(
        "SELECT count(*) FROM journal WHERE kind = 'decided' AND body ->> '$.decided.attempt.trial' = {BEST}"
    ));
    assert_eq!(decisions.len(), usize::try_from(journal).unwrap());
}

#[test]
fn the_report_says_what_pruning_saved() {
    let place = pruned();
    let report = place.json(&["report"]);
    let pruning = &report["pruning"];
    let grams = |key: &str| pruning[key].as_f64().unwrap_or_else(|| panic!("no {key}: {pruning:#}"));
    assert!(grams("avoided_low_g") <= grams("avoided_g") && grams("avoided_g") <= grams("avoided_high_g"));
    assert!(grams("avoided_g") > 0.0 && pruning["pruned"].as_u64() > Some(0), "{pruning:#}");
    assert!((0.0..1.0).contains(&grams("expected_winners_pruned")), "{pruning:#}");
}

#[test]
fn a_trial_that_lost_at_a_rung_is_compared_with_those_that_won() {
    let place = pruned();
    let json = place.json(&["explain", "5"]);
    assert_eq!(json["verdict"], "prune", "{json:#}");
    let Value::Object(rung) = &json["because"]["rung"] else { panic!("no rung: {json:#}") };
    assert_eq!((&rung["rung"], &rung["cut"]), (&4.into(), &BEST.into()), "{json:#}");
    assert!(rung["place"].as_u64() > rung["keep"].as_u64(), "{json:#}");
    let said = place.gramwise(&["explain", "5"]).expect(0).stdout;
    assert!(said.contains("that reached epoch 4; the first 1 go on"), "{said}");
    assert!(said.contains(&format!("the last place that goes on is that of trial {BEST}")), "{said}");
}

#[test]
fn the_best_trial_went_on_to_its_end() {
    let place = pruned();
    assert_eq!(place.gramwise(&["best", "-o", "value"]).expect(0).stdout, format!("{BEST}\n"));
    let said = place.gramwise(&["explain", &BEST.to_string()]).expect(0).stdout;
    assert!(said.starts_with(&format!("trial {BEST} has completed at epoch 12\n")), "{said}");
}
