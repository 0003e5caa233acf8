//! What must hold in every state. Walked after every fact in tests and simulations.

use gramwise_carbon::{Footprint, Microjoules};
use gramwise_model::rows::Account;

use crate::state::{Phase, State};

/// Checks every invariant and names the first that does not hold.
pub fn audit(state: &State) -> Result<(), String> {
    for sweep in state.sweeps.values() {
        let mut by_account = [(Account::Trial, Footprint::ZERO), (Account::Lost, Footprint::ZERO)];
        for trial in sweep.trials.values() {
            let live = trial.attempts.iter().filter(|attempt| attempt.outcome.is_none()).count();
            if live > 1 {
                return Err(format!("trial {} has {live} live attempts", trial.id));
            }
            if trial.is_live() != (live == 1) {
                return Err(format!("trial {} is {:?} with {live} live attempts", trial.id, trial.phase));
            }
            if trial.phase == Phase::Completed && trial.curve.is_empty() {
                return Err(format!("trial {} is complete without a single step", trial.id));
            }
            for attempt in &trial.attempts {
                for (account, sum) in &mut by_account {
                    if *account == attempt.account {
                        *sum += attempt.total;
                    }
                }
            }
        }
        for (account, sum) in by_account {
            let balance = sweep.accounts.get(&account).copied().unwrap_or_default();
            if balance != sum {
                return Err(format!("account {account} holds {balance:?}, its attempts burnt {sum:?}"));
            }
        }
        balanced(state, sweep)?;
    }
    Ok(())
}

/// Every joule of the sweep's hosts is in exactly one account, or another user's.
fn balanced(state: &State, sweep: &crate::state::Sweep) -> Result<(), String> {
    let workers = state.workers.values().filter(|worker| worker.sweep == sweep.id);
    let metered: Microjoules = workers.clone().map(|worker| worker.total.total()).sum();
    let other: Microjoules = workers.map(|worker| worker.other.total()).sum();
    let booked = sweep.spent().energy.total();
    if booked + other == metered {
        Ok(())
    } else {
        Err(format!(
            "accounts {} uJ and others {} uJ are not the metered {} uJ",
            booked.get(),
            other.get(),
            metered.get()
        ))
    }
}
