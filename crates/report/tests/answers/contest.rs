//! A leaderboard groups what cannot be told apart, and ranks by grams inside a group.

use gramwise_model::Goal;
use gramwise_report::{Contest, Entry, ListFormat, entry, leaderboard};

use crate::sample::{listed, record};

fn entrant(name: &str, scores: &[f64], co2e_g: Option<f64>) -> Entry {
    Entry { name: name.to_owned(), scores: (0..).zip(scores.iter().copied()).collect(), co2e_g }
}

/// Entry and group, by rank.
fn ranks(entries: &[Entry], contest: Contest) -> Vec<(String, u64)> {
    let answer: serde_json::Value =
        serde_json::from_str(&listed(leaderboard(entries, contest), ListFormat::Json)).unwrap();
    let rows = answer["entries"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["entry"].as_str().unwrap().to_owned(), row["group"].as_u64().unwrap()))
        .collect()
}

#[test]
fn ties_are_one_group_and_fewer_grams_come_first_in_it() {
    let entries = [
        entrant("lavish", &[0.951, 0.949, 0.950, 0.952, 0.948], Some(9000.0)),
        entrant("frugal", &[0.950, 0.949, 0.951, 0.950, 0.949], Some(12.0)),
        entrant("silent", &[0.950, 0.950, 0.949, 0.951, 0.950], None),
        entrant("weak", &[0.801, 0.799, 0.800, 0.802, 0.798], Some(1.0)),
        entrant("broken", &[f64::NAN], Some(1.0)),
    ];
    let contest = Contest { goal: Goal::Maximize, margin: 0.0 };
    let expected = [("frugal", 1), ("lavish", 1), ("silent", 1), ("weak", 2), ("broken", 3)];
    assert_eq!(ranks(&entries, contest), expected.map(|(name, group)| (name.to_owned(), group)));
    // The other way round, the weak one wins alone.
    let lower = ranks(&entries, Contest { goal: Goal::Minimize, margin: 0.0 });
    assert_eq!(lower[0], ("weak".to_owned(), 1));
    assert_eq!(lower[1].1, 2);
    let table = listed(leaderboard(&entries, contest), ListFormat::Table);
    assert!(table.contains("unknown") && table.contains("12.0 g"), "{table}");
}

#[test]
fn a_margin_makes_ties_of_differences_that_do_not_matter() {
    let entries =
        [entrant("a", &[0.90, 0.901, 0.899], Some(5.0)), entrant("b", &[0.89, 0.891, 0.889], Some(1.0))];
    let apart = Contest { goal: Goal::Maximize, margin: 0.0 };
    assert_eq!(ranks(&entries, apart), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!(
        ranks(&entries, Contest { margin: 0.02, ..apart }),
        [("b".to_owned(), 1), ("a".to_owned(), 1)]
    );
    assert_eq!(ranks(&[], apart), []);
}

#[test]
fn a_sweep_enters_with_all_that_its_search_emitted() {
    let record = record();
    let entry = entry(&record).unwrap();
    assert_eq!(entry.scores.values().copied().collect::<Vec<_>>(), [0.0183]);
    assert!((entry.co2e_g.unwrap() - gramwise_report::report(&record).co2e_g).abs() < 1e-12);
}
