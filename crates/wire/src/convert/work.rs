//! Assignments.

use std::time::Duration;

use gramwise_model::work::{Assignment, Plan};

use super::Malformed;
use super::values::{attempt_from_wire, attempt_to_wire, config_from_wire, config_to_wire};
use crate::v1;

/// An assignment as a message.
pub fn assignment_to_wire(assignment: &Assignment) -> v1::Assignment {
    let Assignment { attempt, config, seed, gpus, up_to_step, plan } = assignment;
    let Plan { setup, command, timeout, cpus, memory, discards } = plan;
    v1::Assignment {
        attempt: Some(attempt_to_wire(*attempt)),
        config: config_to_wire(config),
        seed: *seed,
        gpus: gpus.clone(),
        up_to_step: *up_to_step,
        setup: setup.clone(),
        command: command.clone(),
        timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        cpus: *cpus,
        memory: *memory,
        discards: *discards,
    }
}

/// A message as an assignment.
pub fn assignment_from_wire(message: v1::Assignment) -> Result<Assignment, Malformed> {
    let v1::Assignment {
        attempt,
        config,
        seed,
        gpus,
        up_to_step,
        setup,
        command,
        timeout_ms,
        cpus,
        memory,
        discards,
    } = message;
    if command.is_empty() {
        return Err(Malformed::Missing("command"));
    }
    Ok(Assignment {
        attempt: attempt_from_wire(attempt)?,
        config: config_from_wire(config)?,
        seed,
        gpus,
        up_to_step,
        plan: Plan { setup, command, timeout: timeout_ms.map(Duration::from_millis), cpus, memory, discards },
    })
}
