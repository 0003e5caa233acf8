//! Is a difference real, and which results cannot be told from the best?
//!
//! Pure arithmetic on results that somebody repeated. To know: [`paired_t`], [`welch_t`] and [`signed_rank`] (a difference of two, each
//! with its assumptions), [`holm`] (many questions at once), and [`ties`] (the set that holds the best with a stated confidence).

mod corrections;
mod tests_of_two;
mod ties;

pub use corrections::holm;
pub use tests_of_two::{Difference, paired_t, signed_rank, student_quantile, welch_t};
pub use ties::{Arm, By, Ties, ties};
