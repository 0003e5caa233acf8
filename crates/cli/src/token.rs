//! What the coordinator of this machine lets in: its token's file, and the folder of all others.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use gramwise_trust::{Access, Authority, Fingerprint, Role, Token};

use crate::args::Common;
use crate::database;
use crate::exit::{Exit, Failure};

/// The folder of certificates and of the list of tokens: beside the database, named after it.
pub(crate) fn folder(common: &Common) -> anyhow::Result<PathBuf> {
    Ok(database::path(common)?.with_extension("trust"))
}

/// The coordinator's certificates, if `serve --init` made some.
pub(crate) fn authority(common: &Common) -> anyhow::Result<Option<Authority>> {
    let folder = folder(common)?;
    Ok(if Authority::exists(&folder) { Some(Authority::open(&folder)?) } else { None })
}

/// The list of who is let in, with the token of the user who runs the coordinator on it: kept in a file beside the database, made if there
/// is none.
pub(crate) fn access(common: &Common, authority: Option<Fingerprint>) -> anyhow::Result<Access> {
    let access = Access::open(&folder(common)?)?;
    // Not the one that the environment may name: that is somebody's for another coordinator.
    let path = beside(common)?;
    let kept = if path.exists() { Some(read(&path)?) } else { None };
    let is_right =
        |token: &Token| token.role == Role::Owner && token.authority == authority && access.knows(token);
    if let Some(other) = kept.as_ref().filter(|token| token.role != Role::Owner) {
        let (role, path) = (other.role.name(), path.display());
        let hint = "move it elsewhere, and name it with --token-file; the coordinator's owner has this place";
        return Err(Failure::error(Exit::WrongInput, format!("{path} is a {role}'s token\nhint: {hint}")));
    }
    if !kept.as_ref().is_some_and(is_right) {
        write(&made(&access, Role::Owner, authority, None)?, &path)?;
        if let Some(earlier) = kept {
            access.revoke(&earlier.id)?;
        }
    }
    Ok(access)
}

/// Is the list there that the tokens which were handed out are on? Without it a coordinator would let nobody in, and not say so.
pub(crate) fn check_list(common: &Common) -> anyhow::Result<()> {
    let folder = folder(common)?;
    if folder.join("worker.token").exists() && !Access::exists(&folder) {
        let hint = "restore access.json from a backup; or `gramwise serve --init` makes a new list and new tokens, to be handed out again";
        let message = format!("the list of who is let in is gone from {}", folder.display());
        return Err(Failure::error(Exit::WrongInput, format!("{message}\nhint: {hint}")));
    }
    Ok(())
}

/// A new token, on the list.
pub(crate) fn made(
    access: &Access,
    role: Role,
    authority: Option<Fingerprint>,
    lasts: Option<Duration>,
) -> anyhow::Result<Token> {
    let token = Token::random(role, authority)?;
    access.add(&token, lasts)?;
    Ok(token)
}

/// Writes a token into a file for its user alone.
pub(crate) fn write(token: &Token, path: &Path) -> anyhow::Result<()> {
    let written = token.write(path);
    written.map_err(|error| Failure::error(Exit::WrongInput, format!("cannot write {error}")))
}

/// The one to show.
pub(crate) fn shown(common: &Common) -> anyhow::Result<Token> {
    read(&path(common)?)
}

fn path(common: &Common) -> anyhow::Result<PathBuf> {
    match &common.token_file {
        Some(path) => Ok(path.clone()),
        None => beside(common),
    }
}

/// The file of the user who runs the coordinator of this database.
fn beside(common: &Common) -> anyhow::Result<PathBuf> {
    Ok(database::path(common)?.with_extension("token"))
}

fn read(path: &Path) -> anyhow::Result<Token> {
    let wrong = |what: String| Failure::error(Exit::WrongInput, what);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::NotFound {
            "\nhint: on the coordinator's machine `gramwise serve` makes one, and `gramwise token create` makes more; copy it here, or name it with --token-file"
        } else {
            ""
        };
        wrong(format!("cannot read the coordinator's token {}: {error}{hint}", path.display()))
    })?;
    Token::parse(&text).map_err(|none| wrong(format!("{}: {none}", path.display()))).context("no token")
}
