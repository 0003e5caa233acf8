//! The environment of a trial: the contract between gramwise and a training script.

use std::path::{Path, PathBuf};

use gramwise_model::work::Assignment;
use gramwise_model::{AttemptId, Resource};

use crate::command::json;

/// Where the files of one attempt are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Kept from attempt to attempt of one trial.
    pub(crate) checkpoint: PathBuf,
    /// The attempt's own folder.
    pub(crate) folder: PathBuf,
    /// For two-way talk; in a folder of its own, because Unix allows about 100 bytes for its path.
    pub(crate) socket: PathBuf,
}

impl Files {
    /// The folders of an attempt: `<files>/sweep-1/trial-2/checkpoint` and `.../attempt-1`.
    pub(crate) fn of(root: &Path, id: AttemptId) -> Self {
        let folder = root.join(id.folder());
        Self { checkpoint: folder.with_file_name("checkpoint"), folder, socket: Self::socket(id) }
    }

    /// The socket of a trial that this process starts.
    pub(crate) fn socket(id: AttemptId) -> PathBuf {
        // Of this process, so that no other trial's socket has its name.
        let name = format!("gramwise-{}-{}-{}-{}", std::process::id(), id.sweep, id.trial, id.number);
        std::env::temp_dir().join(name)
    }

    /// The folder of a sweep's `setup`.
    pub(crate) fn of_setup(root: &Path) -> Self {
        let folder = root.join("setup");
        Self { checkpoint: folder.clone(), socket: folder.join("socket"), folder }
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.folder.join("report.jsonl")
    }

    pub(crate) fn stdout(&self) -> PathBuf {
        self.folder.join("stdout.log")
    }

    pub(crate) fn stderr(&self) -> PathBuf {
        self.folder.join("stderr.log")
    }

    pub(crate) fn exit(&self) -> PathBuf {
        self.folder.join("exit.json")
    }

    pub(crate) fn args(&self) -> PathBuf {
        self.folder.join("args.json")
    }
}

/// The variables a trial finds, by name.
pub(crate) fn variables(assignment: &Assignment, files: &Files) -> Vec<(String, String)> {
    let id = assignment.attempt;
    let path = |path: PathBuf| path.display().to_string();
    let mut variables = vec![
        ("GRAMWISE_SWEEP".to_owned(), id.sweep.to_string()),
        ("GRAMWISE_TRIAL".to_owned(), id.trial.to_string()),
        ("GRAMWISE_ATTEMPT".to_owned(), id.number.to_string()),
        ("GRAMWISE_SEED".to_owned(), assignment.seed.to_string()),
        ("GRAMWISE_PARAMS".to_owned(), json(&assignment.config)),
        ("GRAMWISE_CHECKPOINT_DIR".to_owned(), path(files.checkpoint.clone())),
        ("GRAMWISE_REPORT".to_owned(), path(files.report())),
        ("GRAMWISE_SOCKET".to_owned(), path(files.socket.clone())),
    ];
    if assignment.up_to_step != Resource::OPEN {
        variables.push(("GRAMWISE_STEPS".to_owned(), assignment.up_to_step.to_string()));
    }
    for (name, value) in &assignment.config {
        variables.push((format!("GRAMWISE_PARAM_{}", shouted(name)), value.to_string()));
    }
    // Also without GPUs: a trial that leased none must not find the host's.
    let (amd, nvidia): (Vec<&str>, Vec<&str>) =
        assignment.gpus.iter().map(String::as_str).partition(|uuid| gramwise_meter::is_amd(uuid));
    variables.push(("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned()));
    variables.push(("CUDA_VISIBLE_DEVICES".to_owned(), nvidia.join(",")));
    // ROCm takes identities here; `HIP_VISIBLE_DEVICES` takes indices only, which count among what is left.
    variables.push(("ROCR_VISIBLE_DEVICES".to_owned(), amd.join(",")));
    if let Some(cpus) = assignment.plan.cpus {
        variables.push(("OMP_NUM_THREADS".to_owned(), cpus.to_string()));
    }
    variables
}

fn shouted(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect()
}
