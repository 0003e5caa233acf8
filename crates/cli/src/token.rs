//! The file of a coordinator's token: made by `serve`, readable by its user alone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gramwise_wire::token::Token;

use crate::args::{Common, TokenArg};
use crate::database;
use crate::exit::{Exit, Failure};

/// A new one.
pub(crate) fn random() -> anyhow::Result<Token> {
    let mut bytes = [0u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(Token::from_random(bytes))
}

/// The one that is kept; made if there is none.
pub(crate) fn kept(common: &Common, args: &TokenArg) -> anyhow::Result<Token> {
    let path = path(common, args)?;
    if path.exists() {
        return read(&path);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let token = random()?;
    let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
    made.and_then(|mut file| writeln!(file, "{}", token.secret())).map_err(|error| {
        Failure::error(Exit::WrongInput, format!("cannot write {}: {error}", path.display()))
    })?;
    Ok(token)
}

/// The one to show.
pub(crate) fn shown(common: &Common, args: &TokenArg) -> anyhow::Result<Token> {
    read(&path(common, args)?)
}

fn path(common: &Common, args: &TokenArg) -> anyhow::Result<PathBuf> {
    match &args.token_file {
        Some(path) => Ok(path.clone()),
        None => Ok(database::path(common)?.with_extension("token")),
    }
}

fn read(path: &Path) -> anyhow::Result<Token> {
    let wrong = |what: String| Failure::error(Exit::WrongInput, what);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::NotFound {
            "\nhint: `gramwise serve` makes it; copy it from the coordinator's machine, or name it with --token-file"
        } else {
            ""
        };
        wrong(format!("cannot read the coordinator's token {}: {error}{hint}", path.display()))
    })?;
    Token::parse(&text).map_err(|none| wrong(format!("{}: {none}", path.display())))
}
