//! Two-way talk with a trial: reports come in, the word to stop goes out, one JSON object a line.
//!
//! A trial that is connected is asked to stop before it gets SIGTERM, so that it can save what it has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::tail::Lines;

/// Lines waiting at most: they are taken at each look at the trial, and a trial that writes faster waits.
const WAITING: usize = 1024;
/// The word to stop.
const STOP: &[u8] = b"{\"stop\": true}\n";

/// The listening end of one trial's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    lines: mpsc::Receiver<String>,
    connected: Arc<AtomicUsize>,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Socket {
    /// Listens at a path that is free. Unix allows about 100 bytes for it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Left by a process of the same number that was killed.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        let (sender, lines) = mpsc::channel(WAITING);
        let connected = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, sender, connected.clone(), stop.clone()));
        Ok(Self { path: path.to_owned(), lines, connected, stop, accepting })
    }

    /// The lines that came since the last call.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).collect()
    }

    /// Waits until everyone who was connected is gone and read to the end, as they are when their process is; a descendant that
    /// keeps a connection open is not waited for.
    pub(crate) async fn drained(&self) {
        let gone = async {
            while self.connected.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), gone).await;
    }

    /// Asks the trial to stop. Was anyone there to hear it?
    pub(crate) fn ask_to_stop(&self) -> bool {
        self.stop.cancel();
        self.connected.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.accepting.abort();
        // The file is of no use without its listener; if it is gone already, so much the better.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(
    listener: UnixListener,
    lines: mpsc::Sender<String>,
    connected: Arc<AtomicUsize>,
    stop: CancellationToken,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (lines, connected, stop) = (lines.clone(), connected.clone(), stop.clone());
        tokio::spawn(async move {
            connected.fetch_add(1, Ordering::Relaxed);
            // A connection that broke is one that ended.
            let _ = talk(stream, &lines, &stop).await;
            connected.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn talk(
    mut stream: UnixStream,
    lines: &mpsc::Sender<String>,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut splitter = Lines::default();
    let mut bytes = [0u8; 4096];
    let mut asked = false;
    loop {
        tokio::select! {
            read = stream.read(&mut bytes) => match read? {
                0 => return Ok(()),
                count => for line in splitter.take(&bytes[..count]) {
                    let _ = lines.send(line).await;
                },
            },
            () = stop.cancelled(), if !asked => {
                asked = true;
                stream.write_all(STOP).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn reports_come_in_and_the_word_to_stop_goes_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut socket = Socket::open(&path).unwrap();
        assert!(!socket.ask_to_stop(), "nobody is there");
        let mut trial = UnixStream::connect(&path).await.unwrap();
        trial.write_all(b"{\"step\": 1}\n{\"step\"").await.unwrap();
        trial.write_all(b": 2}\n").await.unwrap();
        let (reading, _writing) = trial.split();
        let mut answer = String::new();
        BufReader::new(reading).read_line(&mut answer).await.unwrap();
        assert_eq!(answer.as_bytes(), STOP);
        let mut lines = Vec::new();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while lines.len() < 2 {
            assert!(tokio::time::Instant::now() < deadline, "only {lines:?} came");
            lines.extend(socket.lines());
            tokio::task::yield_now().await;
        }
        assert_eq!(lines, ["{\"step\": 1}", "{\"step\": 2}"]);
        assert!(socket.ask_to_stop());
        drop(socket);
        assert!(!path.exists());
    }
}
