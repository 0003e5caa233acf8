//! Reports and what is answered to them.

use std::collections::BTreeSet;

use gramwise_model::work::{AttemptEnd, AttemptReport, EndKind, Instruction, Report, StepReport};
use gramwise_model::{AttemptId, CO2E, WorkerId};

use super::Malformed;
use super::values::{
    attempt_from_wire, attempt_to_wire, energy_from_wire, energy_to_wire, metrics_from_wire, metrics_to_wire,
};
use crate::v1;

/// A report as a message.
pub fn report_to_wire(report: &Report) -> v1::ReportRequest {
    let Report { worker, seq, total, idle, overhead, other, attempts, leaving } = report;
    v1::ReportRequest {
        worker: worker.0.clone(),
        seq: *seq,
        total: Some(energy_to_wire(total)),
        idle: Some(energy_to_wire(idle)),
        overhead: Some(energy_to_wire(overhead)),
        other: Some(energy_to_wire(other)),
        attempts: attempts.iter().map(attempt_report_to_wire).collect(),
        leaving: *leaving,
        kept: Vec::new(),
    }
}

/// A message as a report.
pub fn report_from_wire(message: v1::ReportRequest) -> Result<Report, Malformed> {
    let v1::ReportRequest { worker, seq, total, idle, overhead, other, attempts, leaving, kept: _ } = message;
    if worker.is_empty() {
        return Err(Malformed::Missing("worker"));
    }
    let attempts: Vec<AttemptReport> =
        attempts.into_iter().map(attempt_report_from_wire).collect::<Result<_, _>>()?;
    let mut named = BTreeSet::new();
    if let Some(twice) = attempts.iter().find(|told| !named.insert(told.attempt)) {
        let (expected, found) = ("each attempt once", format!("attempt {} twice", twice.attempt));
        return Err(Malformed::Illegal { field: "attempts", expected, found });
    }
    Ok(Report {
        worker: WorkerId(worker),
        seq,
        total: energy_from_wire(total.as_ref(), "total")?,
        idle: energy_from_wire(idle.as_ref(), "idle")?,
        overhead: energy_from_wire(overhead.as_ref(), "overhead")?,
        other: energy_from_wire(other.as_ref(), "other")?,
        attempts,
        leaving,
    })
}

/// Instructions as messages.
pub fn instructions_to_wire(instructions: &[(AttemptId, Instruction)]) -> Vec<v1::Instruction> {
    instructions
        .iter()
        .map(|(attempt, instruction)| v1::Instruction {
            attempt: Some(attempt_to_wire(*attempt)),
            stop: match instruction {
                Instruction::GoOn => String::new(),
                Instruction::Stop { why } => why.clone(),
            },
        })
        .collect()
}

/// Messages as instructions.
pub fn instructions_from_wire(
    messages: Vec<v1::Instruction>,
) -> Result<Vec<(AttemptId, Instruction)>, Malformed> {
    let one = |message: v1::Instruction| {
        let instruction = match message.stop {
            why if why.is_empty() => Instruction::GoOn,
            why => Instruction::Stop { why },
        };
        Ok((attempt_from_wire(message.attempt)?, instruction))
    };
    messages.into_iter().map(one).collect()
}

fn attempt_report_to_wire(report: &AttemptReport) -> v1::AttemptReport {
    let AttemptReport { attempt, total, steps, ended } = report;
    v1::AttemptReport {
        attempt: Some(attempt_to_wire(*attempt)),
        total: Some(energy_to_wire(total)),
        steps: steps.iter().map(step_to_wire).collect(),
        ended: ended.as_ref().map(|AttemptEnd { kind, message }| v1::AttemptEnd {
            kind: match kind {
                EndKind::Success => v1::attempt_end::Kind::Success,
                EndKind::Failure => v1::attempt_end::Kind::Failure,
                EndKind::Stopped => v1::attempt_end::Kind::Stopped,
                EndKind::Interrupted => v1::attempt_end::Kind::Interrupted,
            }
            .into(),
            message: message.clone(),
        }),
    }
}

fn attempt_report_from_wire(message: v1::AttemptReport) -> Result<AttemptReport, Malformed> {
    let v1::AttemptReport { attempt, total, steps, ended } = message;
    let steps: Vec<StepReport> = steps.into_iter().map(step_from_wire).collect::<Result<_, _>>()?;
    if let Some(pair) = steps.windows(2).find(|pair| pair[0].step >= pair[1].step) {
        let found = format!("{} after {}", pair[1].step, pair[0].step);
        return Err(Malformed::Illegal { field: "steps", expected: "ascending", found });
    }
    Ok(AttemptReport {
        attempt: attempt_from_wire(attempt)?,
        total: energy_from_wire(total.as_ref(), "attempt.total")?,
        steps,
        ended: ended.map(end_from_wire).transpose()?,
    })
}

fn end_from_wire(message: v1::AttemptEnd) -> Result<AttemptEnd, Malformed> {
    let kind = match message.kind() {
        v1::attempt_end::Kind::Success => EndKind::Success,
        v1::attempt_end::Kind::Failure => EndKind::Failure,
        v1::attempt_end::Kind::Stopped => EndKind::Stopped,
        v1::attempt_end::Kind::Interrupted => EndKind::Interrupted,
        v1::attempt_end::Kind::Unspecified => return Err(Malformed::Missing("ended.kind")),
    };
    Ok(AttemptEnd { kind, message: message.message })
}

fn step_to_wire(step: &StepReport) -> v1::Step {
    let StepReport { step, metrics, total } = step;
    v1::Step { step: *step, metrics: metrics_to_wire(metrics), total: Some(energy_to_wire(total)) }
}

fn step_from_wire(message: v1::Step) -> Result<StepReport, Malformed> {
    let v1::Step { step, metrics, total } = message;
    if step == 0 {
        return Err(Malformed::Illegal { field: "step", expected: "1 or more", found: "0".to_owned() });
    }
    if metrics.contains_key(CO2E) {
        let found = format!("a reported `{CO2E}`");
        return Err(Malformed::Illegal { field: "metrics", expected: "what the script reports", found });
    }
    Ok(StepReport {
        step,
        metrics: metrics_from_wire(metrics)?,
        total: energy_from_wire(total.as_ref(), "step.total")?,
    })
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::{Component, Energy, Microjoules, Provenance};
    use gramwise_model::{Metric, SweepId, TrialId};

    use super::*;

    fn report() -> Report {
        let energy = |uj| Energy::new(Component::Cpu, Microjoules::new(uj), Provenance::Modelled);
        Report {
            worker: WorkerId("host-1".into()),
            seq: 3,
            total: energy(60),
            idle: energy(10),
            overhead: energy(20),
            other: Energy::ZERO,
            attempts: vec![AttemptReport {
                attempt: AttemptId { sweep: SweepId(1), trial: TrialId(2), number: 1 },
                total: energy(30),
                steps: vec![
                    StepReport {
                        step: 1,
                        metrics: [("loss".into(), Metric::Finite(0.5))].into(),
                        total: energy(10),
                    },
                    StepReport {
                        step: 2,
                        metrics: [("loss".into(), Metric::Diverged)].into(),
                        total: energy(20),
                    },
                ],
                ended: Some(AttemptEnd { kind: EndKind::Failure, message: "exit code 3".into() }),
            }],
            leaving: true,
        }
    }

    #[test]
    fn a_report_survives_the_way() {
        assert_eq!(report_from_wire(report_to_wire(&report())).unwrap(), report());
    }

    #[test]
    fn illegal_messages_name_the_field() {
        let mut message = report_to_wire(&report());
        message.attempts[0].steps.reverse();
        let refused = report_from_wire(message).unwrap_err().to_string();
        assert_eq!(refused, "field `steps` must be ascending, found 1 after 2");
        let mut message = report_to_wire(&report());
        message.total = None;
        assert_eq!(report_from_wire(message).unwrap_err(), Malformed::Missing("total"));
        let mut message = report_to_wire(&report());
        message.attempts[0].steps[0].metrics.insert(CO2E.into(), v1::Metric { kind: None });
        assert!(report_from_wire(message).is_err());
        let mut message = report_to_wire(&report());
        message.attempts.push(message.attempts[0].clone());
        let refused = report_from_wire(message).unwrap_err().to_string();
        assert!(
            refused.starts_with("field `attempts` must be each attempt once, found attempt"),
            "{refused}"
        );
        let mut message = report_to_wire(&report());
        message.attempts[0].attempt = Some(v1::AttemptId { sweep: 1, trial: 0, number: 1 });
        assert!(report_from_wire(message).is_err());
    }
}
