//! Going on where an earlier life of this worker was killed: the same name, the same sums, and its trials, which run meanwhile.
//!
//! To the coordinator nothing happened but a pause. What it has given to others meanwhile it says with its next reply, and that is ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gramwise_meter::{Adopted, ConsumerId, HostSnapshot, MeterHandle};
use tonic::Code;

use crate::calls;
use crate::environment::Files;
use crate::farewell;
use crate::journal::{Earlier, Held, Journal, Record};
use crate::outbox::Outbox;
use crate::shim::Orphan;
use crate::supervise::{self, SHIM_SLACK};
use crate::{Client, Options};

/// Workers that are started again together are there within this time.
const OTHERS: Duration = Duration::from_secs(10);

/// What an earlier life left, taken over.
pub(crate) struct Resumed {
    pub(crate) journal: Journal,
    pub(crate) record: Record,
    pub(crate) outbox: Outbox,
    /// Its attempts, with the shims of those that run.
    pub(crate) attempts: Vec<(Held, Option<Orphan>)>,
}

/// Takes over one life of this worker that its coordinator still knows, and settles those before it that it does not. What is left then
/// may be another worker's on the same files, which is being started again too: [`settle_later`] settles it if nobody came for it.
pub(crate) async fn resume(
    options: &Options,
    meter: &MeterHandle,
    client: &mut Client,
) -> (Option<Resumed>, Vec<PathBuf>) {
    let (mut left, mut paths) = (Vec::new(), Earlier::paths(&options.files).into_iter());
    // Each is locked by itself: others look for theirs at the same time.
    while let Some(path) = paths.next() {
        let Some(life) = Earlier::open(path.clone(), &meter.inventory().hostname) else { continue };
        if !is_ours(&life, options) {
            left.push(path);
            continue;
        }
        let known = if options.orphaned.is_zero() { None } else { known(&life, options, client).await };
        let Some(acked) = known else {
            farewell::settle(life, options, meter, client).await;
            continue;
        };
        if let Some(resumed) = take_over(life, acked, options, meter).await {
            left.extend(paths);
            return (Some(resumed), left);
        }
    }
    (None, left)
}

/// May this worker speak for that life? It may for lives of the name in its certificate.
fn is_ours(life: &Earlier, options: &Options) -> bool {
    options.peer.worker().is_none_or(|own| life.record.worker.0.starts_with(own))
}

/// Settles what nobody took over in time. What its trials burnt meanwhile is in the books as the host's.
pub(crate) async fn settle_later(
    left: Vec<PathBuf>,
    options: Arc<Options>,
    meter: MeterHandle,
    mut client: Client,
) {
    tokio::time::sleep(options.orphaned.min(OTHERS)).await;
    for path in left {
        let Some(life) = Earlier::open(path, &meter.inventory().hostname) else { continue };
        if is_ours(&life, &options) {
            farewell::settle(life, &options, &meter, &mut client).await;
        } else {
            // Its sums stay on disk for who may tell them.
            farewell::end(&life, &options).await;
        }
    }
}

/// How far the coordinator knows that life, if it does. Its last report is told once more, as far as it is on disk: that changes nothing.
async fn known(life: &Earlier, options: &Options, client: &mut Client) -> Option<u64> {
    let Earlier { record, .. } = life;
    let snapshot = record.left.snapshot();
    let report = Outbox::restored(record, &life.held(), snapshot).again(snapshot);
    match calls::report(client, &report, &options.peer.address).await {
        Ok(reply) => Some(reply.acked_through),
        Err(status) => {
            if !matches!(status.code(), Code::NotFound | Code::Unauthenticated) {
                tracing::warn!(
                    why = status.message(),
                    "the coordinator does not take an earlier life's sums"
                );
            }
            None
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
