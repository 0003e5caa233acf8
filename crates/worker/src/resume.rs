//! Going on where an earlier life of this worker was killed: the same name, the same sums, and its trials, which run meanwhile.
//!
//! To the coordinator nothing happened but a pause. What it has given to others meanwhile it says with its next reply, and that is ended.

use std::collections::BTreeMap;

use gramwise_meter::{Adopted, ConsumerId, HostSnapshot, MeterHandle};
use gramwise_wire::convert::report_to_wire;
use tonic::Code;

use crate::calls::{RETRY, is_transient};
use crate::environment::Files;
use crate::farewell;
use crate::journal::{Earlier, Held, Journal, Record};
use crate::outbox::Outbox;
use crate::shim::Orphan;
use crate::supervise;
use crate::{Client, Options};

/// What an earlier life left, taken over.
pub(crate) struct Resumed {
    pub(crate) journal: Journal,
    pub(crate) record: Record,
    pub(crate) outbox: Outbox,
    /// Its attempts, with the shims of those that run.
    pub(crate) attempts: Vec<(Held, Option<Orphan>)>,
}

/// Takes over the one life of this worker that its coordinator still knows, and settles all others.
pub(crate) async fn resume(options: &Options, meter: &MeterHandle, client: &mut Client) -> Option<Resumed> {
    let mut resumed = None;
    for life in Earlier::all(&options.files, &meter.inventory().hostname) {
        let is_ours = options.peer.worker().is_none_or(|own| life.record.worker.0.starts_with(own));
        if options.orphaned.is_zero() || resumed.is_some() || !is_ours || !is_known(&life, client).await {
            farewell::settle(life, options, meter, client).await;
        } else {
            resumed = take_over(life, options, meter).await;
        }
    }
    resumed
}

/// Does the coordinator know that life? Its last report is told once more, as far as it is on disk: that changes nothing.
async fn is_known(life: &Earlier, client: &mut Client) -> bool {
    let Earlier { record, .. } = life;
    let snapshot = record.left.snapshot();
    let report = Outbox::restored(record, &life.held(), snapshot).again(snapshot);
    loop {
        match client.report(report_to_wire(&report)).await {
            Ok(_) => return true,
            Err(status) if is_transient(&status) => tokio::time::sleep(RETRY).await,
            Err(status) => {
                let is_strange = !matches!(status.code(), Code::NotFound | Code::Unauthenticated);
                if is_strange {
                    tracing::warn!(
                        why = status.message(),
                        "the coordinator does not take an earlier life's sums"
                    );
                }
                return false;
            }
        }
    }
}

async fn take_over(life: Earlier, options: &Options, meter: &MeterHandle) -> Option<Resumed> {
    let (record, held) = (life.record.clone(), life.held());
    let files = |held: &Held| Files::of(&options.files, held.assignment.attempt);
    let attempts: Vec<(Held, Option<Orphan>)> =
        held.iter().map(|held| (held.clone(), supervise::orphan(&files(held)))).collect();
    let running = attempts.iter().filter_map(|(held, orphan)| {
        let Orphan { process, cgroup, .. } = orphan.clone()?;
        let (gpus, cpus) = (held.assignment.gpus.clone(), held.assignment.plan.cpus);
        Some(Adopted { consumer: held.consumer, gpus, cpus, root: process, cgroup })
    });
    let (reply, adopted) = tokio::sync::oneshot::channel();
    let endings = farewell::endings(&record, options);
    meter.adopt(record.left.clone(), endings, running.collect(), move |snapshot| drop(reply.send(snapshot)));
    let snapshot: HostSnapshot = adopted.await.ok()?;
    let journal = life
        .take_over()
        .inspect_err(|error| tracing::warn!(%error, "cannot go on with an earlier life's journal"))
        .ok()?;
    let outbox = Outbox::restored(&record, &held, record.left.snapshot());
    let running = attempts.iter().filter(|(_, orphan)| orphan.is_some()).count();
    tracing::info!(worker = record.worker.0, running, trials = held.len(), consumed = ?snapshot.at, "going on");
    Some(Resumed { journal, record, outbox, attempts })
}

/// The highest number that an earlier life gave to anything it charged.
pub(crate) fn last_consumer(record: &Record, held: &BTreeMap<ConsumerId, Vec<String>>) -> u64 {
    let known = record.attempts.keys().chain(record.setup.iter()).chain(held.keys());
    known.map(|consumer| consumer.0).max().unwrap_or(0)
}
