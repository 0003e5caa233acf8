//! What making the hardware emitted, for the time that a sweep reserved it. Always beside the operational grams, never in them.

use std::collections::BTreeMap;
use std::time::Duration;

use gramwise_carbon::{Embodied, embodied};
use gramwise_model::TrialId;
use gramwise_model::rows::{AttemptRow, HostRow, SweepRecord};
use serde::Serialize;

/// The embodied emissions of graphics cards, while their hosts served the sweep. Processors, memory and the rest of a host are not
/// in it: no figures for them are shipped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hardware {
    /// Grams, of all cards with a figure.
    pub g: f64,
    /// The band's lower edge.
    pub low_g: f64,
    /// The band's upper edge.
    pub high_g: f64,
    /// The part of attempts, for the time they held their cards; the rest is of cards that waited.
    pub trial_g: f64,
    /// Models without a figure: nothing is counted for them.
    pub unknown: Vec<String>,
}

/// Of a sweep; `None` where no card has a figure.
pub(crate) fn hardware(record: &SweepRecord) -> Option<Hardware> {
    let (mut sum, mut any, mut unknown) = (Embodied::default(), false, Vec::new());
    for host in &record.hosts {
        let served = host.heard_at.since(host.joined_at);
        for card in &host.gpus {
            match embodied(&card.model, served) {
                Some(one) => (sum, any) = (sum + one, true),
                None if unknown.contains(&card.model) => {}
                None => unknown.push(card.model.clone()),
            }
        }
    }
    let held = record.attempts.iter().map(|attempt| of_attempt(record, attempt));
    let trial_g = held.map(|one| one.mass.get()).sum();
    any.then(|| Hardware { g: sum.mass.get(), low_g: sum.low, high_g: sum.high, trial_g, unknown })
}

/// Of all attempts of each trial, in grams; trials none of whose cards has a figure are left out, and so are all where the sweep file
/// says `embodied: false`.
pub(crate) fn by_trial(record: &SweepRecord) -> BTreeMap<TrialId, f64> {
    let mut sums = BTreeMap::new();
    for attempt in record.attempts.iter().filter(|_| record.sweep.spec.carbon.embodied) {
        let grams = of_attempt(record, attempt).mass.get();
        if grams > 0.0 {
            *sums.entry(attempt.trial).or_default() += grams;
        }
    }
    sums
}

fn of_attempt(record: &SweepRecord, attempt: &AttemptRow) -> Embodied {
    let Some(host) = host_of(record, attempt) else { return Embodied::default() };
    let held = held(record, attempt);
    let cards = attempt.gpus.iter().filter_map(|uuid| embodied(model(host, uuid)?, held));
    cards.fold(Embodied::default(), |sum, one| sum + one)
}

fn host_of<'a>(record: &'a SweepRecord, attempt: &AttemptRow) -> Option<&'a HostRow> {
    record.hosts.iter().find(|host| host.worker == attempt.worker)
}

/// For how long an attempt held its slot and its cards; one that runs, until its worker was last heard of.
pub(crate) fn held(record: &SweepRecord, attempt: &AttemptRow) -> Duration {
    let heard = || host_of(record, attempt).map(|host| host.heard_at);
    attempt.ended_at.or_else(heard).unwrap_or(attempt.leased_at).since(attempt.leased_at)
}

fn model<'a>(host: &'a HostRow, uuid: &str) -> Option<&'a str> {
    host.gpus.iter().find(|card| card.uuid == uuid).map(|card| card.model.as_str())
}
