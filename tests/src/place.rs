//! A folder of its own for every test.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Done, Running, gramwise, run};

/// A fresh folder; commands are run in it, with a database in it, and find nothing of the user who runs the tests.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Makes the folder.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database's path; there is nothing before the first `run`.
    pub fn database(&self) -> PathBuf {
        self.path("sweeps.db")
    }

    /// Writes a file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a fresh folder can be written in");
        path
    }

    /// What is in the folder, sorted.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder lives as long as its guard");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// A program that runs here and knows nothing of the user's home, terminal or settings of gramwise.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path()).env("LC_ALL", "C");
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("GRAMWISE_")
                || name.starts_with("XDG_")
                || ["COLUMNS", "NO_COLOR"].contains(&&*name)
        }) {
            command.env_remove(name);
        }
        command
    }

    /// `gramwise --db <the folder's> ARGUMENTS`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(gramwise());
        command.arg("--db").arg(self.database()).args(arguments);
        command
    }

    /// Runs that to its end.
    pub fn gramwise(&self, arguments: &[&str]) -> Done {
        run(&mut self.command(arguments))
    }

    /// `gramwise run sweep.yaml` with nothing said, on whatever machine: without its GPUs.
    pub fn sweep(&self, more: &[&str]) -> Command {
        let mut command = self.command(&["run", "sweep.yaml", "--quiet", "--no-gpu"]);
        command.args(more);
        command
    }

    /// Starts that.
    pub fn start_sweep(&self, more: &[&str]) -> Running {
        Running::start(&mut self.sweep(more))
    }

    /// Runs that to its end.
    pub fn run_sweep(&self, more: &[&str]) -> Done {
        run(&mut self.sweep(more))
    }

    /// The answer to `gramwise ARGUMENTS -o json`.
    ///
    /// # Panics
    /// If it fails, or the answer is no JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let done = self.gramwise(&[arguments, &["-o", "json"]].concat()).expect(0);
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{done}"))
    }

    /// The rows that SQL selects, every column as an integer; none while there is no database, or no table in it yet.
    ///
    /// # Panics
    /// If `SQLite` refuses.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Vec<i64>> {
        if !self.database().exists() {
            return Vec::new();
        }
        let connection = Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("a database can be opened by several");
        connection.busy_timeout(crate::DEADLINE).expect("a time can be set");
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        if tables == Ok(0) {
            return Vec::new();
        }
        let mut statement = connection.prepare(sql).expect("the test's SQL is right");
        let width = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..width).map(|column| row.get(column)).collect();
        let rows = statement.query_map([], row).expect("the test's SQL takes no parameters");
        rows.collect::<Result<_, _>>().expect("all columns are integers")
    }

    /// The one number that SQL selects.
    ///
    /// # Panics
    /// If there is not exactly one row.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        match self.rows(sql).as_slice() {
            [row] => row[0],
            rows => panic!("one row expected of {sql}: {rows:?}"),
        }
    }

    /// The text of a file that a trial may not have written yet.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}
