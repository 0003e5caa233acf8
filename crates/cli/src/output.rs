//! Data on stdout, talk on stderr, colour only on a terminal.

use std::io::{self, IsTerminal, Write};

use gramwise_report::Terminal;

use crate::args::Common;

/// Width where stdout is no terminal.
const WIDTH_OF_A_FILE: usize = 120;

/// The room stdout has.
pub(crate) fn terminal() -> Terminal {
    let is_terminal = io::stdout().is_terminal();
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    let from_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = match columns {
        0 => from_environment().unwrap_or(WIDTH_OF_A_FILE),
        columns => columns,
    };
    Terminal { width, colour: is_terminal && wants_colour() }
}

/// May talk be coloured?
pub(crate) fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && wants_colour()
}

/// Writes data to stdout, all of it or an error.
pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()?;
    Ok(())
}

/// Says something on stderr, unless nothing is to be said.
pub(crate) fn say(common: &Common, text: &str) {
    if !common.quiet {
        eprintln!("{text}");
    }
}

/// Prints an error and its causes on stderr, each once: some messages quote their cause already. Nothing for an error whose
/// message is empty: all there is to say was said.
pub(crate) fn say_error(error: &anyhow::Error) {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    if !message.is_empty() {
        eprintln!("error: {message}");
    }
}

/// Is an error only that nobody reads on?
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// `NO_COLOR` (no-color.org) and terminals that say they are dumb.
fn wants_colour() -> bool {
    let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}
