//! The sweep that most tests run: `src/bin/trial.rs` over a list of learning rates.

use std::collections::BTreeMap;

use e2e::{Place, is_alive};

/// A sweep file in the making. As it begins: three trials of two steps, in the order of the list, nothing pruned.
pub(crate) struct Sweep {
    pub(crate) name: &'static str,
    /// What `trial` is told.
    pub(crate) flags: Vec<String>,
    pub(crate) lr: Vec<f64>,
    /// Steps of a full training.
    pub(crate) steps: u64,
    /// The step from which trials are judged.
    pub(crate) judged_from: u64,
    /// Can trials go on from a checkpoint?
    pub(crate) checkpoint: bool,
    /// Further lines of the file.
    pub(crate) more: &'static str,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            name: "tiny",
            flags: Vec::new(),
            lr: vec![0.1, 0.2, 0.3],
            steps: 2,
            judged_from: 2,
            checkpoint: false,
            more: "",
        }
    }
}

impl Sweep {
    /// Adds flags, separated by spaces.
    pub(crate) fn told(mut self, flags: &str) -> Self {
        self.flags.extend(flags.split_whitespace().map(str::to_owned));
        self
    }

    /// Lets each trial note the numbers of its processes in `pids`.
    pub(crate) fn noting_pids(mut self, place: &Place) -> Self {
        self.flags.extend(["--pids".to_owned(), place.path("pids").display().to_string()]);
        self
    }

    /// Lets trials from `from` on wait after each step until there is a file `go`.
    pub(crate) fn held(mut self, place: &Place, from: u32) -> Self {
        let file = place.path("go").display().to_string();
        self.flags.extend(["--hold".to_owned(), file, "--hold-from".to_owned(), from.to_string()]);
        self
    }

    /// Writes it to `sweep.yaml`.
    pub(crate) fn write(&self, place: &Place) {
        let Self { name, flags, lr, steps, judged_from, checkpoint, more } = self;
        let words = [env!("CARGO_BIN_EXE_trial")].into_iter().chain(flags.iter().map(String::as_str));
        let command: Vec<String> = words.chain(["${args}"]).map(|word| format!("{word:?}")).collect();
        let command = command.join(", ");
        let text = format!(
            "name: {name}\n\
             command: [{command}]\n\
             method: grid\n\
             objectives: [{{name: val_error, goal: minimize}}]\n\
             parameters: {{lr: {{values: {lr:?}}}}}\n\
             resource: {{name: epoch, min: {judged_from}, max: {steps}, checkpoint: {checkpoint}}}\n\
             budget: {{trials: 100}}\n\
             {more}\n"
        );
        place.write("sweep.yaml", &text);
    }
}

/// Writes a sweep of a shell script over a list of learning rates: each trial is to report one step.
pub(crate) fn scripted(place: &Place, script: &str, lr: &[f64]) {
    let path = place.write("train.sh", script).display().to_string();
    let text = format!(
        "name: scripted\ncommand: [/bin/sh, {path:?}]\nmethod: grid\nobjectives: [{{name: val_error, goal: minimize}}]\n\
         parameters: {{lr: {{values: {lr:?}}}}}\nresource: {{name: epoch, min: 1, max: 1}}\nbudget: {{trials: 9}}\n"
    );
    place.write("sweep.yaml", &text);
}

/// The processes that trials noted: number and role, by trial and attempt.
pub(crate) fn noted(place: &Place) -> BTreeMap<(i64, i64), Vec<(i32, String)>> {
    let mut noted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in place.text("pids").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let &[pid, role, trial, attempt] = words.as_slice() else { panic!("not as trials write it: {line}") };
        let [trial, attempt] = [trial, attempt].map(|word| word.parse().expect("trials write numbers"));
        let pid = pid.parse().expect("trials write numbers");
        noted.entry((trial, attempt)).or_default().push((pid, role.to_owned()));
    }
    noted
}

/// Those of them that are still there. `Err` lists them.
pub(crate) fn all_gone(place: &Place) -> Result<(), String> {
    let left: Vec<_> = noted(place).into_values().flatten().filter(|(pid, _)| is_alive(*pid)).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
}

/// Checks the books to the microjoule: what the accounts hold is what the hosts metered, less what other users burnt; and
/// what each attempt was charged is the last total that was booked for it.
#[track_caller]
pub(crate) fn assert_balanced(place: &Place) {
    let hosts = "SELECT h.sweep,
                        sum(measured_uj - other_measured_uj), sum(modelled_uj - other_modelled_uj),
                        sum(estimated_uj - other_estimated_uj) FROM host h GROUP BY sweep ORDER BY sweep";
    let ledger = "SELECT sweep, sum(measured_uj), sum(modelled_uj), sum(estimated_uj)
                  FROM ledger_entry GROUP BY sweep ORDER BY sweep";
    assert_eq!(place.rows(hosts), place.rows(ledger), "hosts less other users, and ledger, by sweep");
    let booked =
        "SELECT sweep, trial, attempt, sum(measured_uj), sum(modelled_uj), sum(estimated_uj), sum(co2e_ng)
                  FROM ledger_entry WHERE trial IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let last = "WITH fact AS (
                    SELECT seq, body -> '$.emission_booked.attempt' AS id, body -> '$.emission_booked.total' AS total
                    FROM journal WHERE kind = 'emission_booked')
                SELECT id ->> 'sweep', id ->> 'trial', id ->> 'number',
                       coalesce(total ->> '$.energy.gpu.measured', 0) + coalesce(total ->> '$.energy.cpu.measured', 0) + coalesce(total ->> '$.energy.memory.measured', 0) + coalesce(total ->> '$.energy.rest.measured', 0),
                       coalesce(total ->> '$.energy.gpu.modelled', 0) + coalesce(total ->> '$.energy.cpu.modelled', 0) + coalesce(total ->> '$.energy.memory.modelled', 0) + coalesce(total ->> '$.energy.rest.modelled', 0),
                       coalesce(total ->> '$.energy.gpu.estimated', 0) + coalesce(total ->> '$.energy.cpu.estimated', 0) + coalesce(total ->> '$.energy.memory.estimated', 0) + coalesce(total ->> '$.energy.rest.estimated', 0),
                       total ->> 'co2e'
                FROM fact WHERE seq IN (SELECT max(seq) FROM fact GROUP BY id) ORDER BY 1, 2, 3";
    let (booked, last) = (place.rows(booked), place.rows(last));
    assert!(!booked.is_empty(), "some attempt burnt something");
    assert_eq!(booked, last, "sums of the ledger, and last booked totals, by attempt");
}

/// How many trials are in a state.
pub(crate) fn count(place: &Place, state: &str) -> i64 {
    place.rows(&format!("SELECT count(*) FROM trial WHERE state = '{state}'")).first().map_or(0, |row| row[0])
}
