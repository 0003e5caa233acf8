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
use crate::rotation;

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
    /// How much further that is in the file: what was let go of before it could be handed over, less the words in its place.
    ahead: i64,
}

/// Follows both streams of an attempt until `over` says that it is, or nobody is left to say so.
pub(crate) async fn hand_over(
    mut client: Client,
    worker: WorkerId,
    attempt: AttemptId,
    files: Files,
    mut over: watch::Receiver<bool>,
) {
    let of = |stream, path| Following { stream, path, through: 0, ahead: 0 };
    let mut streams = [of(Stream::Stdout, files.stdout()), of(Stream::Stderr, files.stderr())];
    let mut end: Option<Instant> = None;
    loop {
        if end.is_none() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = over.changed() => end = Some(Instant::now()),
            }
        }
        let has_time = |end: Option<Instant>| end.is_none_or(|end| end.elapsed() < LAST);
        let mut is_all = true;
        for one in &mut streams {
            // At the end also nothing is something: it says that nothing was written.
            let mut state = piece(&mut client, &worker, attempt, (one, end.is_some())).await;
            while state == Piece::More && has_time(end) {
                state = piece(&mut client, &worker, attempt, (one, end.is_some())).await;
            }
            is_all &= state == Piece::Last;
        }
        if end.is_some() && !is_all && !has_time(end) {
            for one in &streams {
                leave_out(&mut client, &worker, attempt, one).await;
            }
        }
        if is_all && end.is_some() || !has_time(end) {
            return;
        }
    }
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// There is more.
    More,
    /// That was all for now.
    Last,
    /// It was not taken; it may be later.
    NotTaken,
}

/// Hands one piece over.
async fn piece(
    client: &mut Client,
    worker: &WorkerId,
    attempt: AttemptId,
    (one, also_nothing): (&mut Following, bool),
) -> Piece {
    let Ok((bytes, ahead)) = read(one) else { return Piece::Last };
    if bytes.is_empty() && !also_nothing {
        return Piece::Last;
    }
    let is_last = (bytes.len() as u64) < PIECE;
    let expected = one.through + bytes.len() as u64;
    match told(client, worker, attempt, one, bytes).await {
        Ok(through) => {
            // One that knows more, as after a restart of this worker, did not take these.
            one.ahead = if through == expected { ahead } else { one.ahead };
            one.through = through;
            if is_last { Piece::Last } else { Piece::More }
        }
        Err(status) => {
            tracing::debug!(why = status.message(), "a trial's output was not taken");
            tokio::time::sleep(LOOK).await;
            if is_transient(&status) { Piece::NotTaken } else { Piece::Last }
        }
    }
}

async fn told(
    client: &mut Client,
    worker: &WorkerId,
    attempt: AttemptId,
    one: &Following,
    bytes: Vec<u8>,
) -> Result<u64, tonic::Status> {
    let request = OutputRequest {
        worker: worker.0.clone(),
        attempt: Some(attempt_to_wire(attempt)),
        stream: one.stream.into(),
        offset: one.through,
        bytes,
    };
    Ok(client.output(request).await?.into_inner().through)
}

/// Says what there was no time to hand over, and where it is.
async fn leave_out(client: &mut Client, worker: &WorkerId, attempt: AttemptId, one: &Following) {
    let length = one.path.metadata().map_or(0, |found| found.len());
    let left = length.saturating_sub(one.through.saturating_add_signed(one.ahead));
    if left > 0 {
        let words = format!("\n[{left} bytes more are on the worker, in {}]\n", one.path.display());
        // Whoever asks finds what was handed over until then.
        drop(told(client, worker, attempt, one, words.into_bytes()).await);
    }
}

/// What comes next, and how much further in the file it is than in what the coordinator has.
fn read(one: &Following) -> io::Result<(Vec<u8>, i64)> {
    let mut file = std::fs::File::open(&one.path)?;
    let at = one.through.saturating_add_signed(one.ahead);
    let data = rotation::first_kept(&file, at);
    let mut bytes = Vec::new();
    if data > at {
        bytes = format!("\n[{} bytes are not kept]\n", data - at).into_bytes();
    }
    let ahead =
        one.ahead + i64::try_from(data - at).unwrap_or(i64::MAX) - i64::try_from(bytes.len()).unwrap_or(0);
    file.seek(SeekFrom::Start(data))?;
    file.take(PIECE - bytes.len() as u64).read_to_end(&mut bytes)?;
    Ok((bytes, ahead))
}
