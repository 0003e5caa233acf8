//! What a sweep cost, as papers, model cards and other tools want it.

use gramwise_report::{Statement, report, statement};

use crate::sample::record;

fn said(form: Statement) -> String {
    statement(&record(), form, "1.2.3")
}

#[test]
fn a_paper_has_all_that_was_spent() {
    insta::assert_snapshot!("statement_paper", said(Statement::Paper));
}

#[test]
fn a_model_card_has_grams_of_the_model_and_the_search_in_words() {
    let yaml = said(Statement::HuggingFace);
    let best = report(&record()).best.unwrap();
    assert!(yaml.contains(&format!("  emissions: {}\n", best.co2e_g)), "{yaml}");
    insta::assert_snapshot!("statement_huggingface", yaml);
}

#[test]
fn lines_of_codecarbon_sum_to_what_trials_were_charged() {
    let csv = said(Statement::CodeCarbon);
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = columns.iter().position(|name| *name == "emissions").unwrap();
    // No field before it has a comma.
    let kilograms: f64 = lines.map(|line| line.split(',').nth(at).unwrap().parse::<f64>().unwrap()).sum();
    let report = report(&record());
    let charged = report.accounts.trial.co2e_g + report.accounts.lost.co2e_g;
    assert!((kilograms * 1000.0 - charged).abs() <= 1e-9 * charged, "{kilograms} kg of {charged} g");
    insta::assert_snapshot!("statement_codecarbon", csv);
}

#[test]
fn a_report_of_boamps_has_the_whole_sweep() {
    let json = said(Statement::BoAmps);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let kwh = value["measures"][0]["powerConsumption"].as_f64().unwrap();
    assert!((kwh * 3.6e6 - report(&record()).energy_j).abs() < 1e-6, "{kwh} kWh");
    insta::assert_snapshot!("statement_boamps", json);
}
