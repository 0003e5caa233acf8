//! What a failure says: of the configuration, or of the machine.

use std::time::Duration;

use gramwise_model::{Retry, RetryAction};

/// Output by which a failure is known to be the machine's, in lower case. Xid errors and lost devices: NVIDIA, "Xid Errors"
/// (docs.nvidia.com/deploy/xid-errors); the texts are those of the CUDA and HIP runtimes' error strings.
const MACHINE: [&str; 8] = [
    "uncorrectable ecc",
    "gpu has fallen off the bus",
    "nvrm: xid",
    "device is lost",
    "cuda error: unknown error",
    "cuda driver initialization failed",
    "no space left on device",
    "input/output error",
];
/// Output by which a trial is known to have wanted more memory than there is.
const MEMORY: [&str; 4] = ["out of memory", "outofmemoryerror", "cannot allocate memory", "std::bad_alloc"];

/// Attempts in a row that fail on one host, while others go well elsewhere, before it is left alone.
pub(super) const IN_A_ROW: usize = 3;
/// The pause before a trial is tried again, doubled each time, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is to follow from a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It is the configuration's: it would fail again.
    Give,
    /// Nobody knows: so many times again, as the sweep says.
    Retry,
    /// It is the machine's: again, and it counts for nothing.
    Elsewhere,
}

/// The first rule of the sweep whose text the message holds decides; then what is known of such messages.
pub(super) fn remedy(retry: &Retry, message: &str) -> Remedy {
    if let Some(rule) = retry.rules.iter().find(|rule| message.contains(&rule.matches)) {
        return match rule.action {
            RetryAction::Fail => Remedy::Give,
            RetryAction::Retry => Remedy::Retry,
            RetryAction::ExcludeHost => Remedy::Elsewhere,
        };
    }
    let message = message.to_lowercase();
    let holds = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if holds(&MACHINE) {
        Remedy::Elsewhere
    } else if holds(&MEMORY) {
        Remedy::Give
    } else {
        Remedy::Retry
    }
}

/// The pause after so many attempts that ended through a failure.
pub(super) fn back_off(failures: usize) -> Duration {
    let (first, longest) = BACK_OFF;
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    if failures == 0 { Duration::ZERO } else { (first * 2_u32.pow(doublings)).min(longest) }
}

#[cfg(test)]
mod tests {
    use gramwise_model::RetryRule;

    use super::*;

    #[test]
    fn the_sweep_has_the_first_word_and_known_messages_the_second() {
        let rule = |matches: &str, action| RetryRule { matches: matches.to_owned(), action };
        let rules = vec![rule("out of memory", RetryAction::Retry), rule("boom", RetryAction::ExcludeHost)];
        let retry = Retry { max: 1, rules };
        for (message, expected) in [
            ("torch: CUDA out of memory", Remedy::Retry),
            ("boom", Remedy::Elsewhere),
            ("torch.OutOfMemoryError: tried to allocate", Remedy::Give),
            ("RuntimeError: CUDA error: uncorrectable ECC error encountered", Remedy::Elsewhere),
            ("exit code 1", Remedy::Retry),
        ] {
            assert_eq!(remedy(&retry, message), expected, "{message}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 7, 100].map(|failures| back_off(failures).as_secs()).into();
        assert_eq!(seconds, [0, 1, 2, 4, 60, 60]);
    }
}
