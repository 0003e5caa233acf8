//! A search replayed against a table of learning curves, with asynchronous workers in virtual time.
//!
//! Every finished epoch is charged; paused trials go on from their checkpoint at no cost; a configuration that is not in
//! the table is replaced by the nearest unused row, and the search is told which.

mod summary;
mod table;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use gramwise_search::strategy::{AskTell, Doomed, Fate, Seen, What, Word};

pub use summary::{Summary, plot};
use table::volume;
pub use table::{Curve, INTENSITY_G_PER_KWH, Table};

/// Budgets, in FTE, at which results are told.
pub const MARKS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0];

/// How a replay is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Workers.
    pub workers: usize,
    /// Grams to spend, in FTE.
    pub budget_fte: f64,
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Grams spent.
    pub spent: f64,
    /// Trials started.
    pub trials: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// Trials trained to their end.
    pub completed: usize,
    /// Virtual seconds.
    pub seconds: f64,
    /// The best error seen.
    pub best: f64,
    /// Normalised regret at each of [`MARKS`]; infinite before anything was seen.
    pub regret: [f64; 7],
    /// Share of the whole hypervolume at each of [`MARKS`].
    pub volume: [f64; 7],
    /// Improvements: grams spent and the error reached.
    pub trace: Vec<(f64, f64)>,
    /// Grams at which the search ended by itself.
    pub stopped_at: Option<f64>,
    /// Trials that were found not to be worth their carbon, and ended.
    pub doomed: Fates,
    /// Those that ran on to their end under audit.
    pub audited: Fates,
    /// The trials that were given up on their way.
    pub given_up: Vec<GivenUp>,
}

/// A trial that was given up, as a report sees it, and as it would have gone on.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenUp {
    /// What it had emitted.
    pub grams: f64,
    /// What it was predicted to need still, when it was last judged.
    pub predicted: Option<f64>,
    /// For each completed trial: what that emitted in all, by what it had emitted at the same epoch.
    pub growths: Vec<f64>,
    /// What it would have needed still, by the table.
    pub real: f64,
}

/// What would have become of doomed trials.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fates {
    /// How many there were.
    pub trials: u32,
    /// Those of them that would have ended better than the best then, by the table.
    pub winners: u32,
    /// As many were expected to,
    pub expected: f64,
    /// with this variance, if they were independent.
    pub variance: f64,
}

impl Fates {
    /// Half of a 95 % interval of the number of winners.
    pub fn half_width(&self) -> f64 {
        1.96 * self.variance.sqrt()
    }
}

impl std::iter::Sum for Fates {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            trials: sum.trials + one.trials,
            winners: sum.winners + one.winners,
            expected: sum.expected + one.expected,
            variance: sum.variance + one.variance,
        })
    }
}

/// An epoch that ends at a virtual time. Ordered by time, then by when it was begun.
#[derive(Debug, PartialEq)]
struct Epoch {
    ends: f64,
    begun: u64,
    worker: usize,
    trial: usize,
}

impl Eq for Epoch {}

impl Ord for Epoch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ends.total_cmp(&other.ends).then(self.begun.cmp(&other.begun))
    }
}

impl PartialOrd for Epoch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Runs a search against a table. `Err` if it asks for what cannot be.
pub fn replay(table: &Table, searcher: &mut AskTell, course: &Course) -> Result<Outcome, String> {
    let mut run = Run::new(table, course);
    run.fill(searcher)?;
    while let Some(Reverse(epoch)) = run.running.pop() {
        if run.outcome.spent >= run.budget || !run.step(searcher, &epoch)? {
            break;
        }
    }
    // What was reached stands, also at marks that an early end did not come to.
    run.mark(run.budget * (1.0 + 1e-9));
    run.outcome.seconds = run.now;
    run.count_winners(searcher.doomed());
    run.count_given_up();
    Ok(run.outcome)
}

struct Run<'a> {
    table: &'a Table,
    budget: f64,
    now: f64,
    running: BinaryHeap<Reverse<Epoch>>,
    begun: u64,
    idle: Vec<usize>,
    used: Vec<bool>,
    /// The row and the epochs done of each trial.
    trials: Vec<(usize, usize)>,
    /// What each trial was predicted to need after its last report.
    predictions: Vec<Option<f64>>,
    paused: BTreeSet<usize>,
    done: bool,
    marked: usize,
    archive: Vec<[f64; 2]>,
    archived: f64,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(table: &'a Table, course: &Course) -> Self {
        Self {
            table,
            budget: table.fte * course.budget_fte,
            now: 0.0,
            running: BinaryHeap::new(),
            begun: 0,
            idle: (0..course.workers).collect(),
            used: vec![false; table.configs.len()],
            trials: Vec::new(),
            predictions: Vec::new(),
            paused: BTreeSet::new(),
            done: false,
            marked: 0,
            archive: Vec::new(),
            archived: 0.0,
            outcome: Outcome {
                spent: 0.0,
                trials: 0,
                epochs: 0,
                completed: 0,
                seconds: 0.0,
                best: f64::INFINITY,
                regret: [f64::INFINITY; 7],
                volume: [0.0; 7],
                trace: Vec::new(),
                stopped_at: None,
                doomed: Fates::default(),
                audited: Fates::default(),
                given_up: Vec::new(),
            },
        }
    }

    /// Of the trials that were doomed: how many would have become the best, by the table, and how many were expected to.
    fn count_winners(&mut self, doomed: &[Doomed]) {
        let fate = |one: &Doomed| {
            let (row, _) = self.trials[one.trial];
            let end = self.table.curves[row].errors.iter().copied().fold(f64::INFINITY, f64::min);
            Fates {
                trials: 1,
                winners: u32::from(end < one.best),
                expected: one.chance,
                variance: one.chance * (1.0 - one.chance),
            }
        };
        let is_over = |one: &&Doomed| {
            let (row, done) = self.trials[one.trial];
            done == self.table.curves[row].errors.len()
        };
        self.outcome.doomed = doomed.iter().filter(|one| !one.audited).map(fate).sum();
        self.outcome.audited = doomed.iter().filter(|one| one.audited).filter(is_over).map(fate).sum();
    }

    /// Notes which trials were given up, and what they would have needed.
    fn count_given_up(&mut self) {
        // What still ran when the budget was spent was not given up.
        let running: BTreeSet<usize> = self.running.iter().map(|Reverse(epoch)| epoch.trial).collect();
        let curve = |row: usize| self.table.curves[row].grams.as_slice();
        let completed: Vec<&[f64]> = self
            .trials
            .iter()
            .filter(|(row, done)| *done == curve(*row).len())
            .map(|(row, _)| curve(*row))
            .collect();
        let growth = |grams: &[f64], done: usize| Some(grams.last()? / grams.get(done - 1)?);
        let given_up = |(trial, (row, done)): (usize, &(usize, usize))| {
            let (grams, done) = (curve(*row), *done);
            let whole =
                grams.last().filter(|_| done > 0 && done < grams.len() && !running.contains(&trial))?;
            Some(GivenUp {
                grams: grams[done - 1],
                predicted: self.predictions[trial],
                growths: completed.iter().filter_map(|other| growth(other, done)).collect(),
                real: whole - grams[done - 1],
            })
        };
        self.outcome.given_up = self.trials.iter().enumerate().filter_map(given_up).collect();
    }

    /// Notes what stood at the marks that `upto` grams pass.
    fn mark(&mut self, upto: f64) {
        while self.marked < MARKS.len() && MARKS[self.marked] * self.table.fte <= upto {
            self.outcome.regret[self.marked] = self.table.normalised_regret(self.outcome.best);
            let whole = self.table.whole_volume;
            self.outcome.volume[self.marked] = if whole > 0.0 { self.archived / whole } else { 0.0 };
            self.marked += 1;
        }
    }

    /// Gives every idle worker something to do.
    fn fill(&mut self, searcher: &mut AskTell) -> Result<(), String> {
        while !self.idle.is_empty() && !self.done {
            let trial = match searcher.ask().what {
                What::Wait | What::Refit => break,
                What::Done(_) => {
                    self.done = true;
                    self.outcome.stopped_at = Some(self.outcome.spent);
                    break;
                }
                What::Resume(trial) => {
                    if !self.paused.remove(&trial) {
                        return Err(format!("resume of trial {trial}, which is not paused"));
                    }
                    trial
                }
                What::New { config, .. } => {
                    let Some(row) = self.table.nearest(&config, &self.used) else {
                        self.done = true;
                        break;
                    };
                    self.used[row] = true;
                    self.trials.push((row, 0));
                    self.predictions.push(None);
                    searcher.started(self.table.configs[row].clone())
                }
            };
            if let Some(worker) = self.idle.pop() {
                self.begin(worker, trial);
            }
        }
        Ok(())
    }

    fn begin(&mut self, worker: usize, trial: usize) {
        let (row, done) = self.trials[trial];
        let seconds = growth(&self.table.curves[row].seconds, done);
        self.begun += 1;
        self.running.push(Reverse(Epoch { ends: self.now + seconds, begun: self.begun, worker, trial }));
    }

    /// One epoch ends. `false` once the budget is spent.
    fn step(&mut self, searcher: &mut AskTell, epoch: &Epoch) -> Result<bool, String> {
        self.now = epoch.ends;
        let (row, done) = self.trials[epoch.trial];
        let curve = &self.table.curves[row];
        let grams = growth(&curve.grams, done);
        self.mark(self.outcome.spent + grams - 1e-12);
        self.outcome.spent += grams;
        self.outcome.epochs += 1;
        self.trials[epoch.trial].1 = done + 1;
        if self.outcome.spent > self.budget {
            return Ok(false);
        }
        let error = curve.errors[done];
        if error < self.outcome.best {
            self.outcome.best = error;
            self.outcome.trace.push((self.outcome.spent, error));
        }
        let last = done + 1 == curve.errors.len();
        let seen = Seen {
            step: done as u64 + 1,
            costs: vec![error],
            grams: curve.grams[done],
            last,
            feasible: true,
        };
        let word = searcher.report(epoch.trial, &seen);
        self.predictions[epoch.trial] = searcher.strategy().grams_to_last(epoch.trial);
        let fate = match word {
            _ if last => Fate::Complete,
            Word::Continue => {
                self.begin(epoch.worker, epoch.trial);
                return Ok(true);
            }
            Word::Pause => Fate::Paused,
            Word::Stop => Fate::Stopped,
        };
        if last {
            self.outcome.completed += 1;
            self.archive.push(self.table.objectives[row]);
            self.archived = volume(&self.archive);
        } else if fate == Fate::Paused {
            self.paused.insert(epoch.trial);
        }
        searcher.ended(epoch.trial, fate);
        self.idle.push(epoch.worker);
        self.outcome.trials = self.trials.len();
        self.fill(searcher)?;
        Ok(true)
    }
}

fn growth(totals: &[f64], done: usize) -> f64 {
    totals[done] - if done == 0 { 0.0 } else { totals[done - 1] }
}
