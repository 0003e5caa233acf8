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
fn the_intensity_of_a_trial_and_of_a_point_sum_to_the_search() {
    let text = said(Statement::Sci);
    let report = report(&record());
    let all = report.co2e_g + report.embodied_g.unwrap();
    let each =
        gramwise_report::units::grams(gramwise_carbon::GramsCo2e::new(all / report.trials.total as f64));
    assert!(text.contains(&format!("R = a trial (10 of them): {each} CO2e")), "{text}");
    insta::assert_snapshot!("statement_sci", text);
}

#[test]
fn metrics_sum_to_the_report() {
    let text = said(Statement::OpenMetrics);
    let sum = |family: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(family));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let report = report(&record());
    assert!((sum("gramwise_energy_joules_total") - report.energy_j).abs() < 1e-9);
    assert!((sum("gramwise_co2e_grams_total") - report.co2e_g).abs() < 1e-12);
    assert!(text.ends_with("# EOF\n"));
    insta::assert_snapshot!("statement_openmetrics", text);
}

#[test]
fn a_report_of_boamps_has_the_whole_sweep() {
    let json = said(Statement::BoAmps);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let kwh = value["measures"][0]["powerConsumption"].as_f64().unwrap();
    assert!((kwh * 3.6e6 - report(&record()).energy_j).abs() < 1e-6, "{kwh} kWh");
    insta::assert_snapshot!("statement_boamps", json);
}

#[test]
fn green_algorithms_is_asked_about_the_same_machines_and_time() {
    let text = said(Statement::GreenAlgorithms);
    // 64 cores, one GPU and 512 GB for 723 s.
    let kwh = (64.0 * 12.0 + 200.0 + 512.0 * 0.3725) * 723.0 / 3.6e6;
    assert!(
        text.contains(&format!("Green Algorithms  {} kWh", gramwise_report::units::number(kwh))),
        "{text}"
    );
    insta::assert_snapshot!("statement_green_algorithms", text);
}
