//! Who was charged for what.

use gramwise_carbon::{Amount, Energy, Footprint, Quality};
use gramwise_model::rows::{Account, AccountRow};
use serde::Serialize;

/// Energy by how it was obtained, in exact microjoules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByProvenance {
    /// From counters.
    pub measured_uj: u64,
    /// From models fed by measurements.
    pub modelled_uj: u64,
    /// From models without measurements, and gaps.
    pub estimated_uj: u64,
}

/// Energy by what burnt it, in exact microjoules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByComponent {
    /// Graphics cards.
    pub gpu_uj: u64,
    /// Processors.
    pub cpu_uj: u64,
    /// Memory.
    pub memory_uj: u64,
    /// All else that a meter of the whole node shows.
    pub rest_uj: u64,
}

impl ByComponent {
    pub(crate) fn of(energy: &Energy) -> Self {
        let Energy { gpu, cpu, memory, rest } = energy;
        let [gpu_uj, cpu_uj, memory_uj, rest_uj] = [gpu, cpu, memory, rest].map(|part| part.total().get());
        Self { gpu_uj, cpu_uj, memory_uj, rest_uj }
    }
}

/// The balance of every account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accounts {
    /// Attempts whose results count.
    pub trial: Balance,
    /// Attempts that were interrupted, lost or fenced.
    pub lost: Balance,
    /// Hosts waiting.
    pub idle: Balance,
    /// gramwise itself, and `setup`.
    pub overhead: Balance,
}

/// What is in one account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Balance {
    /// In exact microjoules.
    pub energy_uj: u64,
    /// The same in joules.
    pub energy_j: f64,
    /// Operational `CO2e`.
    pub co2e_g: f64,
    /// How the energy is known.
    pub quality: Quality,
}

impl ByProvenance {
    pub(crate) fn of(energy: &Energy) -> Self {
        let Amount { measured, modelled, estimated } = energy.amount();
        Self { measured_uj: measured.get(), modelled_uj: modelled.get(), estimated_uj: estimated.get() }
    }
}

impl Balance {
    fn of(footprint: &Footprint) -> Self {
        Self {
            energy_uj: footprint.energy.total().get(),
            energy_j: footprint.energy.joules().get(),
            co2e_g: footprint.co2e.grams().get(),
            quality: footprint.energy.quality(),
        }
    }
}

impl Accounts {
    /// Each account's rows added up, so that a record with an account twice, or not at all, still sums.
    pub(crate) fn of(rows: &[AccountRow]) -> Self {
        let balance = |account: Account| {
            let rows = rows.iter().filter(|row| row.account == account);
            Balance::of(&rows.fold(Footprint::ZERO, |sum, row| sum + row.footprint))
        };
        Self {
            trial: balance(Account::Trial),
            lost: balance(Account::Lost),
            idle: balance(Account::Idle),
            overhead: balance(Account::Overhead),
        }
    }

    /// One of them by its name.
    pub fn get(&self, account: Account) -> &Balance {
        match account {
            Account::Trial => &self.trial,
            Account::Lost => &self.lost,
            Account::Idle => &self.idle,
            Account::Overhead => &self.overhead,
        }
    }
}

/// The sum over all accounts.
pub(crate) fn total(rows: &[AccountRow]) -> Footprint {
    rows.iter().fold(Footprint::ZERO, |sum, row| sum + row.footprint)
}
