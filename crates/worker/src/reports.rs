//! What a trial reports, whichever way it chose.

use tokio::sync::mpsc;

use crate::environment::Files;
use crate::socket::Socket;
use crate::supervise::News;
use crate::tail::{Tail, parse, parse_stdout};

/// All ways in which a trial reports, and what could not be read.
pub(crate) struct Reports {
    file: Tail,
    stdout: Tail,
    pub(crate) socket: Option<Socket>,
    /// The first lines that were meant as reports and are none.
    pub(crate) faults: Vec<String>,
}

impl Reports {
    pub(crate) fn of(files: &Files, socket: Option<Socket>) -> Self {
        Self {
            file: Tail::new(&files.report()),
            stdout: Tail::new(&files.stdout()),
            socket,
            faults: Vec::new(),
        }
    }

    /// How far the trial's stdout has been read.
    pub(crate) fn stdout_read(&mut self) -> u64 {
        self.stdout.position()
    }

    /// Sends what came since the last call, of each file a megabyte; at the end all, also a last line without a line break.
    pub(crate) async fn forward(&mut self, news: &mpsc::Sender<News>, is_last: bool) {
        while self.forward_piece(news, is_last).await && is_last {}
    }

    /// Is there more, at once?
    async fn forward_piece(&mut self, news: &mpsc::Sender<News>, is_last: bool) -> bool {
        let (mut lines, more_lines) = self.file.lines().unwrap_or_default();
        lines.extend(self.socket.iter_mut().flat_map(Socket::lines));
        let (mut printed, more_printed) = self.stdout.lines().unwrap_or_default();
        let more = more_lines || more_printed;
        if is_last && !more {
            lines.extend(self.file.rest());
            printed.extend(self.stdout.rest());
        }
        let from_file = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| (line, parse(line)));
        let from_stdout = printed.iter().filter_map(|line| Some((line, parse_stdout(line)?)));
        let mut steps = Vec::new();
        for (line, parsed) in from_file.chain(from_stdout) {
            match parsed {
                Ok(step) => steps.push(step),
                Err(fault) if self.faults.len() < 3 => self.faults.push(format!("`{line}`: {fault}")),
                Err(_) => {}
            }
        }
        if !steps.is_empty() {
            let _ = news.send(News::Steps(steps)).await;
        }
        more
    }
}
