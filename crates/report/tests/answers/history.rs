//! Groups of a history sum to its total, whatever it is grouped by.

use gramwise_model::SweepId;
use gramwise_model::rows::SweepSummary;
use gramwise_report::{GroupBy, HistoryQuery, ListFormat, history};
use proptest::prelude::*;
use serde_json::Value;

use crate::sample::{burnt, listed, summaries};

fn answer(rows: &[SweepSummary], group_by: Vec<GroupBy>) -> Value {
    asked(rows, &HistoryQuery { group_by, ..HistoryQuery::default() })
}

fn asked(rows: &[SweepSummary], query: &HistoryQuery) -> Value {
    serde_json::from_str(&listed(history(rows, query), ListFormat::Json)).unwrap()
}

#[test]
fn what_is_asked_for_and_the_rest_sum_to_all() {
    let rows = summaries();
    let all = asked(&rows, &HistoryQuery::default())["total"]["energy_uj"].as_u64().unwrap();
    let moments: Vec<_> = rows.iter().map(|row| row.sweep.submitted_at).collect();
    for at in moments {
        let of = |query: &HistoryQuery| asked(&rows, query)["total"]["energy_uj"].as_u64().unwrap();
        let before = of(&HistoryQuery { until: Some(at), ..HistoryQuery::default() });
        let from = of(&HistoryQuery { since: Some(at), ..HistoryQuery::default() });
        assert_eq!(before + from, all);
    }
    let of_ada = HistoryQuery { only: vec![(GroupBy::User, "ada".to_owned())], ..HistoryQuery::default() };
    assert_eq!(asked(&rows, &of_ada)["total"]["sweeps"], 2);
    let nobody = HistoryQuery { only: vec![(GroupBy::User, "nobody".to_owned())], ..of_ada };
    assert_eq!(asked(&rows, &nobody)["total"]["sweeps"], 0);
}

fn sum(answer: &Value, key: &str) -> u64 {
    answer["groups"].as_array().unwrap().iter().map(|group| group[key].as_u64().unwrap()).sum()
}

#[test]
fn a_user_is_one_person_on_all_hosts() {
    let answer = answer(&summaries(), vec![GroupBy::User]);
    assert_eq!(answer["groups"][0]["user"], "ada");
    assert_eq!(answer["groups"][0]["sweeps"], 2);
    assert_eq!(answer["total"]["sweeps"], 4);
    assert_eq!(answer["total"]["trials"], 4 * 5 + 1 + 2 + 3 + 4);
}

const ALL: [GroupBy; 9] = [
    GroupBy::Month,
    GroupBy::Name,
    GroupBy::User,
    GroupBy::Zone,
    GroupBy::Project,
    GroupBy::Tags,
    GroupBy::Sweep,
    GroupBy::Host,
    GroupBy::Gpu,
];

proptest! {
    #[test]
    fn groups_sum_to_the_total(
        amounts in prop::collection::vec((0u64..1 << 52, 0usize..4, 0u64..3), 0..12),
        by in prop::sample::subsequence(ALL.to_vec(), 1..=4),
    ) {
        let rows: Vec<SweepSummary> = (1..)
            .zip(&amounts)
            .map(|(id, (amount, like, months))| {
                let mut row = summaries().swap_remove(*like);
                row.sweep.id = SweepId(id);
                row.sweep.submitted_at.0 += months * 31 * 86_400_000;
                row.total = burnt(*amount, 1, 0);
                row.workers[0].footprint = row.total;
                row.workers[0].trials = row.trials.values().sum();
                row.sweep.spec.project = (amount % 2 == 0).then(|| "thesis".to_owned());
                row
            })
            .collect();
        let answer = answer(&rows, by);
        for key in ["sweeps", "trials", "energy_uj"] {
            prop_assert_eq!(sum(&answer, key), answer["total"][key].as_u64().unwrap(), "{}", key);
        }
        let booked: u64 = rows.iter().map(|row| row.total.energy.total().get()).sum();
        prop_assert_eq!(answer["total"]["energy_uj"].as_u64().unwrap(), booked);
        let grams: f64 = answer["groups"].as_array().unwrap().iter().map(|group| group["co2e_g"].as_f64().unwrap()).sum();
        prop_assert!((grams - answer["total"]["co2e_g"].as_f64().unwrap()).abs() <= 1e-9 * grams);
    }
}

#[test]
fn what_one_machine_burnt_is_told_from_what_the_other_did() {
    let mut rows = summaries();
    // The first sweep ran on two machines, one of which has other cards.
    let mut second = rows[0].workers[0].clone();
    "gpu07".clone_into(&mut second.host);
    "NVIDIA H100".clone_into(&mut second.gpus[0].model);
    (second.footprint, second.trials) = (burnt(1_000_000_000, 0, 0), 2);
    rows[0].total += second.footprint;
    rows[0].workers.push(second);
    rows[0].sweep.spec.tags = vec!["ablation".to_owned(), "thesis".to_owned()];
    let only = |by, word: &str| HistoryQuery { only: vec![(by, word.to_owned())], ..HistoryQuery::default() };
    let total = |query: &HistoryQuery| asked(&rows, query)["total"].clone();
    for query in [only(GroupBy::Host, "gpu07"), only(GroupBy::Gpu, "NVIDIA H100")] {
        let total = total(&query);
        assert_eq!((total["energy_uj"].as_u64(), total["trials"].as_u64()), (Some(1_000_000_000), Some(2)));
        assert_eq!(total["sweeps"], 1);
    }
    assert_eq!(total(&only(GroupBy::Tags, "thesis"))["sweeps"], 1);
    assert_eq!(total(&only(GroupBy::Sweep, "2"))["sweeps"], 1);
    assert_eq!(total(&only(GroupBy::Project, "none"))["sweeps"], 4);
    let by_gpu = answer(&rows, vec![GroupBy::Gpu]);
    let sum: u64 =
        by_gpu["groups"].as_array().unwrap().iter().map(|one| one["energy_uj"].as_u64().unwrap()).sum();
    assert_eq!(Some(sum), by_gpu["total"]["energy_uj"].as_u64());
    assert_eq!(by_gpu["groups"].as_array().unwrap().len(), 2);
}
