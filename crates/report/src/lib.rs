//! The questions asked of a ledger: what a sweep cost, what it found, and why it decided as it did.
//!
//! Three types to know: [`Report`] (the stable JSON of `gramwise report`), [`HistoryQuery`] (what is asked of all sweeps)
//! and [`Terminal`] (how much room an answer has). Every question is a function from rows to text; [`table()`],
//! [`csv()`] and the helpers of [`mod@units`] are what the answers are made of.
//!
//! Every returned text ends with a newline. What is not known is `null` in JSON, an empty CSV field, and
//! `unknown` or `-` in text; it is never a zero. This crate never sees the store, a clock or a file.

mod accounts;
mod best;
mod calendar;
mod counts;
mod csv;
mod explain;
mod explain_words;
mod gains;
mod grid;
mod hardware;
mod history;
mod html;
mod importance;
mod json;
mod leaderboard;
mod listing;
mod metered;
mod output;
mod pareto;
mod parquet;
mod preview;
mod pruning;
mod report;
mod report_csv;
mod report_markup;
mod restated;
mod sheet;
mod show;
mod statements;
mod status;
mod sweeps;
mod table;
mod text;
mod ties;
mod trials;
pub mod units;
mod winners;
mod words;

pub use accounts::{Accounts, Balance, ByComponent, ByProvenance};
pub use best::{best, front};
pub use counts::{AttemptCounts, TrialCounts};
pub use csv::csv;
pub use explain::explain;
pub use gains::{BeyondChance, Diminishing, FirstTied, Gains, Improvement, LastTrials};
pub use grid::Grid;
pub use hardware::Hardware;
pub use history::{GroupBy, HistoryQuery, history};
pub use html::report_html;
pub use importance::{Importance, OfParameter, Trade};
pub use leaderboard::{Contest, Entry, entry, leaderboard};
pub use listing::{ListFormat, Listing};
pub use metered::{MeteredCommand, metered};
pub use output::{Format, Terminal};
pub use preview::preview;
pub use pruning::{Avoided, GivenUp, Pruning, avoided_in_all};
pub use report::{Host, OtherTenants, Report, TrialSummary, report};
pub use report_csv::{report_csv, report_json, report_value};
pub use report_markup::report_marked_up;
pub use restated::{Actuals, restated};
pub use sheet::Markup;
pub use show::show;
pub use statements::{Statement, statement};
pub use status::status;
pub use sweeps::sweeps;
pub use table::{Align, table};
pub use text::report_text;
pub use ties::{Comparison, Repeated, ReplicatedBy, Ties};
pub use trials::trials;
pub use winners::{PrunedWinners, pruned_winners};
