//! What a worker that was killed had still to tell, told by the next one on the same files.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gramwise_carbon::Energy;
use gramwise_meter::{ConsumerId, Ending, HostSnapshot, MeterHandle};
use gramwise_model::work::{AttemptEnd, AttemptReport, EndKind, Report};
use tonic::Code;

use crate::calls;
use crate::environment::Files;
use crate::journal::{Earlier, Record};
use crate::outbox::HostTotals;
use crate::shim::Exit;
use crate::supervise::{self, SHIM_SLACK};
use crate::{Client, Options};

const POLL: Duration = Duration::from_millis(100);

/// Settles a life that ended without a goodbye, and ends what it left. What a coordinator does not know (it serves another sweep) stays
/// for one that does.
pub(crate) async fn settle(life: Earlier, options: &Options, meter: &MeterHandle, client: &mut Client) {
    end(&life, options).await;
    gone(&life.record, life.record.attempts.keys(), options.grace + SHIM_SLACK).await;
    let (reply, settled) = tokio::sync::oneshot::channel();
    meter.settle(life.record.left.clone(), endings(&life.record, options), move |snapshot| {
        drop(reply.send(snapshot));
    });
    let Ok(snapshot) = settled.await else { return };
    let mut report = report(&life.record, &snapshot);
    let told = loop {
        let told = calls::report(client, &report, &options.peer.address).await;
        match told.map(|reply| reply.acked_through) {
            // It heard a later one, which is not on disk.
            Ok(through) if through > report.seq => report.seq = through + 1,
            answered => break answered,
        }
    };
    let worker = life.record.worker.0.clone();
    match told {
        Ok(_) => life.forget(),
        // Another sweep's, or another coordinator's.
        Err(status)
            if matches!(status.code(), Code::NotFound | Code::Unauthenticated | Code::PermissionDenied) =>
        {
            tracing::debug!(worker, "an earlier worker of another sweep: left as it is");
        }
        Err(status) => {
            tracing::warn!(
                worker,
                why = status.message(),
                "the last totals of an earlier worker were refused"
            );
            life.forget();
        }
    }
}

/// Ends the trials of that life that still run.
pub(crate) async fn end(life: &Earlier, options: &Options) {
    for held in life.held() {
        supervise::end_orphan(&Files::of(&options.files, held.assignment.attempt)).await;
    }
}

/// Waits until trials of that life and its setup have ended: their shims end them once their worker is gone.
pub(crate) async fn gone<'a>(
    record: &'a Record,
    trials: impl Iterator<Item = &'a ConsumerId> + Clone,
    patience: Duration,
) {
    let began = Instant::now();
    let runs = || trials.clone().chain(&record.setup).any(|consumer| record.left.is_running(*consumer));
    while runs() && began.elapsed() < patience {
        tokio::time::sleep(POLL).await;
    }
}

/// How they ended, as far as their shims could write it down.
pub(crate) fn endings(record: &Record, options: &Options) -> BTreeMap<ConsumerId, Ending> {
    let attempts =
        record.attempts.iter().map(|(consumer, attempt)| (*consumer, Files::of(&options.files, *attempt)));
    // What a new setup follows has ended before it; of the last, the file tells.
    let setup = record.setup.last().map(|consumer| (*consumer, Files::of_setup(&options.files)));
    let ending = |files: &Files| {
        let exit: Exit = serde_json::from_slice(&std::fs::read(files.exit()).ok()?).ok()?;
        Some(Ending { at: Duration::from_millis(exit.at_ms), cpu: Duration::from_millis(exit.cpu_ms) })
    };
    attempts.chain(setup).filter_map(|(consumer, files)| Some((consumer, ending(&files)?))).collect()
}

/// That life's last report.
fn report(record: &Record, snapshot: &HostSnapshot) -> Report {
    let of = |consumer: &ConsumerId| snapshot.consumers.get(consumer).copied().unwrap_or(Energy::ZERO);
    let attempts = record.attempts.iter().map(|(consumer, attempt)| AttemptReport {
        attempt: *attempt,
        total: of(consumer),
        steps: Vec::new(),
        ended: Some(AttemptEnd { kind: EndKind::Interrupted, message: "its worker was killed".to_owned() }),
    });
    let HostTotals { total, idle, overhead, other } =
        HostTotals::since(snapshot, &record.before, &record.setup);
    Report {
        worker: record.worker.clone(),
        seq: record.seq + 1,
        total,
        idle,
        overhead,
        other,
        attempts: attempts.collect(),
        leaving: true,
    }
}
