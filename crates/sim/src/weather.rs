//! What goes wrong, and how often.

/// Probabilities: per message where it is about messages, else per round (and per worker where it is about one).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// A message does not arrive.
    pub lost: f64,
    /// A message arrives twice.
    pub repeated: f64,
    /// A message takes some rounds: others overtake it.
    pub delayed: f64,
    /// A worker cannot be reached for a while, shorter than a lease or longer; its trials run on.
    pub partitioned: f64,
    /// A worker is killed. Its next life goes on with its trials, or finds them ended, or never comes.
    pub worker_killed: f64,
    /// The coordinator is killed, before or after it wrote what it decided; its clock may be another when it comes back.
    pub coordinator_killed: f64,
    /// The coordinator's disk is full: it ends, and is started again when there is room.
    pub disk_full: f64,
    /// Somebody holds the sweep, lets it go on, enqueues a configuration, or takes a worker out of service.
    pub meddled: f64,
    /// A trial fails for its machine's sake.
    pub trial_fails: f64,
}

impl Weather {
    /// Every fault, often.
    pub const STORM: Self = Self {
        lost: 0.1,
        repeated: 0.1,
        delayed: 0.1,
        partitioned: 0.005,
        worker_killed: 0.01,
        coordinator_killed: 0.02,
        disk_full: 0.005,
        meddled: 0.01,
        trial_fails: 0.002,
    };
}

/// A fault built in on purpose, to show that it would be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// What a report tells is booked as growth: a repeated report is booked twice.
    BooksDifferences,
    /// What a worker without a lease burnt is not booked.
    DropsStrayGrams,
    /// Replies leave before what they promise is on disk.
    AcknowledgesEarly,
}
