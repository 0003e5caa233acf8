//! `explain` says every number that a decision was taken on.

use gramwise_model::{Because, TrialId};
use gramwise_report::{Format, Terminal, explain};

use crate::sample::{PRUNED, estimate, record};

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn all_numbers_of_a_pruned_trial_are_said() {
    for width in [40, 80, 120] {
        let text = explain(&record(), PRUNED, Format::Table, Terminal { width, colour: false }).unwrap();
        let story = words(text.split("\n\n").next().unwrap());
        for said in [
            "trial 5 was pruned at epoch 6",
            "val_error 0.143 at epoch 6",
            "predicted 0.112 ± 0.0471 at epoch 30",
            "learnt from 8 curves",
            "expected gain 0.00021 ± 0.0011 val_error",
            "over trial 2",
            "co2e 3.10 mg",
            "val_error 0.0183",
            "predicted grams left 1.92 mg (2.50 mg to epoch 30)",
            "2.1 % to end better",
            "gain per kg 109 < threshold 2 350",
            "1 % of the spread per 5 full trainings",
        ] {
            assert!(story.contains(said), "width {width}: {said:?} is missing in:\n{text}");
        }
    }
}

#[test]
fn all_numbers_of_a_paused_trial_are_said() {
    let text = explain(&record(), TrialId(6), Format::Table, Terminal { width: 80, colour: false }).unwrap();
    let story = words(text.split("\n\n").next().unwrap());
    for said in [
        "place 5 of 7 that reached epoch 3",
        "first 2 go on",
        "val_error 0.31",
        "co2e 400 µg",
        "trial 1",
        "grams left 2.70 mg",
    ] {
        assert!(story.contains(said), "{said:?} is missing in:\n{text}");
    }
}

#[test]
fn decisions_to_go_on_are_listed_too() {
    let text = explain(&record(), PRUNED, Format::Table, Terminal { width: 200, colour: false }).unwrap();
    let table = words(text.split("\n\n").nth(1).unwrap());
    for said in [
        "0 continue drawn by sobol, point 4",
        "2 continue the search begins: trials are first seen to step 3",
        "3 120",
        "6 prune gain",
    ] {
        assert!(table.contains(said), "{said:?} is missing in:\n{text}");
    }
}

#[test]
fn json_holds_the_reason_digit_by_digit() {
    let text = explain(&record(), PRUNED, Format::Json, Terminal { width: 1, colour: false }).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let because: Because = serde_json::from_value(answer["because"].clone()).unwrap();
    assert_eq!(because, Because::Gain(estimate()));
    assert_eq!(answer["decisions"].as_array().unwrap().len(), 5);
}
