//! What a user hands to whoever is to speak to a coordinator: one line of text, in a file.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};

use crate::authority::{Fingerprint, hex, sha256, unhex};
use crate::{Error, file};

/// What whoever holds a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// All: the user who runs the coordinator.
    Owner,
    /// Submit, ask and end sweeps.
    Client,
    /// Become a worker, and work.
    Worker,
}

impl Role {
    /// The role's name in tokens and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Client => "client",
            Self::Worker => "worker",
        }
    }
}

impl FromStr for Role {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        [Self::Owner, Self::Client, Self::Worker].into_iter().find(|role| role.name() == text).ok_or(NoToken)
    }
}

/// A secret with its public name, `gramwise-ROLE-ID-SECRET`, and the fingerprint of the coordinator's authority where calls are
/// encrypted, so that no other can pose as the coordinator. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is for.
    pub role: Role,
    /// Its public name: for lists, and for revoking it.
    pub id: String,
    secret: [u8; 32],
    /// Whom to believe; `None` where nothing is encrypted.
    pub authority: Option<Fingerprint>,
}

/// What is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no token: one is a line `gramwise-ROLE-...` with role owner, client or worker, as `gramwise serve` and `gramwise token create` write it"
)]
pub struct NoToken;

impl Token {
    /// A new one.
    pub fn random(role: Role, authority: Option<Fingerprint>) -> Result<Self, Error> {
        let (mut id, mut secret) = ([0u8; 4], [0u8; 32]);
        let random = SystemRandom::new();
        random.fill(&mut id).and_then(|()| random.fill(&mut secret)).map_err(|_| Error::NoRandom)?;
        Ok(Self { role, id: hex(&id), secret, authority })
    }

    /// Reads one; blanks around it are left out.
    pub fn parse(text: &str) -> Result<Self, NoToken> {
        let mut parts = text.trim().split('-');
        if parts.next() != Some("gramwise") {
            return Err(NoToken);
        }
        let role = parts.next().ok_or(NoToken)?.parse()?;
        let id = parts.next().filter(|id| unhex::<4>(id).is_some()).ok_or(NoToken)?.to_owned();
        let secret = parts.next().and_then(unhex).ok_or(NoToken)?;
        let authority = match parts.next() {
            Some(digits) => Some(Fingerprint(unhex(digits).ok_or(NoToken)?)),
            None => None,
        };
        if parts.next().is_some() { Err(NoToken) } else { Ok(Self { role, id, secret, authority }) }
    }

    /// For the file that it is kept in, and for the call that shows it.
    pub fn secret(&self) -> String {
        let Self { role, id, secret, authority } = self;
        let known = format!("gramwise-{}-{id}-{}", role.name(), hex(secret));
        authority.as_ref().map_or(known.clone(), |authority| format!("{known}-{authority}"))
    }

    /// Writes it into a file for its user alone, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| Error::File { path: folder.to_owned(), source })?;
        }
        file::write(path, &(self.secret() + "\n"))
    }

    /// What is kept of it by who is to recognise it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        sha256(&self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({} {}, ..)", self.role.name(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_never_shown() {
        for authority in [None, Some(Fingerprint([7; 32]))] {
            let token = Token::random(Role::Worker, authority).unwrap();
            let line = token.secret();
            assert_eq!(Token::parse(&format!(" {line}\n")), Ok(token.clone()));
            assert!(line.starts_with(&format!("gramwise-worker-{}-", token.id)), "{line}");
            assert!(!format!("{token:?}").contains(&hex(&token.secret)));
            for wrong in [
                line.replacen("worker", "king", 1),
                line[1..].to_owned(),
                format!("{line}-"),
                format!("{line}\n{line}"),
                line[..line.len() - 1].to_owned(),
                line.replace(&token.id, "ü2345678"),
            ] {
                assert_eq!(Token::parse(&wrong), Err(NoToken), "{wrong}");
            }
        }
        assert_eq!(Token::parse(""), Err(NoToken));
        assert_ne!(
            Token::random(Role::Owner, None).unwrap().digest(),
            Token::random(Role::Owner, None).unwrap().digest()
        );
    }
}
