//! Who was charged for what.

use gramwise_carbon::{Energy, Footprint, Quality};
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
        Self {
            measured_uj: energy.measured.get(),
            modelled_uj: energy.modelled.get(),
            estimated_uj: energy.estimated.get(),
        }
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
