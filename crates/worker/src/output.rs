//! Hands what a trial writes over to the coordinator, a second behind. Nothing waits for it but its own end, and that not for long.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gramwise_model::{AttemptId, WorkerId};
use gramwise_wire::convert::attempt_to_wire;
use gramwise_wire::v1::OutputRequest;
use gramwise_wire::v1::output_request::Stream;
use tokio::sync::watch;

use crate::Client;
use crate::calls::is_transient;
use crate::environment::Files;

/// How often a growing file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes handed over at once.
const PIECE: u64 = 128 << 10;
/// After the trial's end, so long is spent on what is left.
const LAST: Duration = Duration::from_secs(5);

/// One stream of an attempt.
struct Following {
    stream: Stream,
    path: PathBuf,
    /// How far the coordinator has it.
    through: u64,
}

/// Follows both streams of an attempt until `over` says that it is, or nobody is left to say so.
pub(crate) async fn hand_over(
    mut client: Client,
    worker: WorkerId,
    attempt: AttemptId,
    files: Files,
    mut over: watch::Receiver<bool>,
) {
    let of = |stream, path| Following { stream, path, through: 0 };
    let mut streams = [of(Stream::Stdout, files.stdout()), of(Stream::Stderr, files.stderr())];
    let mut end: Option<Instant> = None;
    loop {
        if end.is_none() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = over.changed() => end = Some(Instant::now()),
            }
        }
        let mut is_all = true;
        for one in &mut streams {
            // At the end also nothing is something: it says that nothing was written.
            is_all &= piece(&mut client, &worker, attempt, (one, end.is_some())).await;
        }
        if end.is_some_and(|end| is_all || end.elapsed() > LAST) {
            return;
        }
    }
}

/// Hands one piece over; is it all that there is?
async fn piece(
    client: &mut Client,
    worker: &WorkerId,
    attempt: AttemptId,
    (one, also_nothing): (&mut Following, bool),
) -> bool {
    let Ok(bytes) = read(one) else { return true };
    if bytes.is_empty() && !also_nothing {
        return true;
    }
    let is_last = (bytes.len() as u64) < PIECE;
    let told = client
        .output(OutputRequest {
            worker: worker.0.clone(),
            attempt: Some(attempt_to_wire(attempt)),
            stream: one.stream.into(),
            offset: one.through,
            bytes,
        })
        .await;
    match told {
        Ok(reply) => one.through = reply.into_inner().through,
        Err(status) => {
            tracing::debug!(why = status.message(), "a trial's output was not taken");
            tokio::time::sleep(LOOK).await;
            return !is_transient(&status);
        }
    }
    is_last
}

fn read(one: &Following) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(&one.path)?;
    file.seek(SeekFrom::Start(one.through))?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
