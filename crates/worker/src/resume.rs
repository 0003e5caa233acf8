//! Going on where an earlier life of this worker was killed: the same name, the same sums, and its trials, which run meanwhile.
//!
//! To the coordinator nothing happened but a pause. What it has given to others meanwhile it says with its next reply, and that is ended.

use std::sync::Arc;

use gramwise_meter::{Adopted, ConsumerId, HostSnapshot, MeterHandle};
use gramwise_wire::convert::report_to_wire;
use tonic::Code;

use crate::calls::{RETRY, is_transient};
use crate::environment::Files;
use crate::farewell;
use crate::journal::{Earlier, Held, Journal, Record};
use crate::outbox::Outbox;
use crate::shim::Orphan;
use crate::supervise::{self, SHIM_SLACK};
use crate::{Client, Options};

/// What an earlier life left, taken over.
pub(crate) struct Resumed {
    pub(crate) journal: Journal,
    pub(crate) record: Record,
    pub(crate) outbox: Outbox,
    /// Its attempts, with the shims of those that run.
    pub(crate) attempts: Vec<(Held, Option<Orphan>)>,
}

/// Takes over one life of this worker that its coordinator still knows, and settles those that it does not. Another that it knows may be
/// that of another worker on the same files, which is being started again too: it has the time that its trials have, and is settled by
/// [`settle_later`]. Is there such a one?
pub(crate) async fn resume(
    options: &Options,
    meter: &MeterHandle,
    client: &mut Client,
) -> (Option<Resumed>, bool) {
    let (mut resumed, mut others) = (None, false);
    for life in Earlier::all(&options.files, &meter.inventory().hostname) {
        let is_ours = options.peer.worker().is_none_or(|own| life.record.worker.0.starts_with(own));
        let known = if is_ours && !options.orphaned.is_zero() { known(&life, client).await } else { None };
        match known {
            None => farewell::settle(life, options, meter, client).await,
            Some(acked) if resumed.is_none() => resumed = take_over(life, acked, options, meter).await,
            Some(_) => others = true,
        }
    }
    (resumed, others)
}

/// Settles what is left once nobody took it over in time.
pub(crate) async fn settle_later(options: Arc<Options>, meter: MeterHandle, mut client: Client) {
    tokio::time::sleep(options.orphaned).await;
    for life in Earlier::all(&options.files, &meter.inventory().hostname) {
        farewell::settle(life, &options, &meter, &mut client).await;
    }
}

/// How far the coordinator knows that life, if it does. Its last report is told once more, as far as it is on disk: that changes nothing.
async fn known(life: &Earlier, client: &mut Client) -> Option<u64> {
    let Earlier { record, .. } = life;
    let snapshot = record.left.snapshot();
    let report = Outbox::restored(record, &life.held(), snapshot).again(snapshot);
    loop {
        match client.report(report_to_wire(&report)).await {
            Ok(reply) => return Some(reply.into_inner().acked_through),
            Err(status) if is_transient(&status) => tokio::time::sleep(RETRY).await,
            Err(status) => {
                let is_strange = !matches!(status.code(), Code::NotFound | Code::Unauthenticated);
                if is_strange {
                    tracing::warn!(
                        why = status.message(),
                        "the coordinator does not take an earlier life's sums"
                    );
                }
                return None;
            }
        }
    }
}

async fn take_over(life: Earlier, acked: u64, options: &Options, meter: &MeterHandle) -> Option<Resumed> {
    let (record, held) = (life.record.clone(), life.held());
    // A setup is not adopted: it ends with its worker, and is done again.
    farewell::gone(&record, [].iter(), options.grace + SHIM_SLACK).await;
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
    let mut outbox = Outbox::restored(&record, &held, record.left.snapshot());
    outbox.known_through(acked);
    let running = attempts.iter().filter(|(_, orphan)| orphan.is_some()).count();
    tracing::info!(worker = record.worker.0, running, trials = held.len(), consumed = ?snapshot.at, "going on");
    Some(Resumed { journal, record, outbox, attempts })
}

/// The highest number that an earlier life gave to anything it charged.
pub(crate) fn last_consumer(record: &Record, held: impl Iterator<Item = ConsumerId>) -> u64 {
    let known = record.attempts.keys().chain(record.setup.iter()).copied().chain(held);
    known.map(|consumer| consumer.0).max().unwrap_or(0)
}
