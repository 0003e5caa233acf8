//! Randomness with an address: no generator is shared or stored, so a new draw here cannot move a draw there.

use gramwise_model::TrialId;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What a draw is for. Numbers are part of the address and must never be reused for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// A configuration by the random sampler.
    Sample = 1,
    /// Whether a doomed trial runs on for the audit.
    Audit = 2,
    /// The seed handed to the training script.
    TrialSeed = 3,
    /// Candidates for a new configuration.
    Candidates = 4,
    /// Which trials a fit of the model sees.
    Fit = 5,
    /// Configurations that say what is typical.
    Typical = 6,
    /// Candidates for a last look before a search ends.
    Doubt = 7,
    /// The seed of trials that are run again.
    Replicate = 8,
}

/// The generator of one (sweep seed, trial, purpose). `ChaCha8` is named because its stream is specified: the same
/// address gives the same numbers in every later version.
pub fn rng(seed: u64, trial: TrialId, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&trial.0.to_le_bytes());
    key[16..24].copy_from_slice(&(purpose as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn the_stream_of_an_address_is_fixed_for_ever() {
        let mut generator = rng(7, TrialId(3), Purpose::Sample);
        let draw: u64 = generator.random();
        assert_eq!(draw, rng(7, TrialId(3), Purpose::Sample).random::<u64>());
        assert_ne!(draw, rng(7, TrialId(3), Purpose::Audit).random::<u64>());
        assert_ne!(draw, rng(7, TrialId(4), Purpose::Sample).random::<u64>());
        assert_ne!(draw, rng(8, TrialId(3), Purpose::Sample).random::<u64>());
    }
}
