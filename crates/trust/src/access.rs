//! Who is let in, and for what: a list of the coordinator's machine, which holds no secret in clear.
//!
//! The list is a file that the running coordinator looks at before each call, so that `gramwise token revoke` works at once.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::authority::{Fingerprint, hex, unhex};
use crate::token::{Role, Token};
use crate::{Error, file};

const LIST: &str = "access.json";

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Sweeps: submit, ask, end.
    Client,
    /// Becoming a worker, once.
    Join,
    /// Work itself.
    Work,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What it may do.
    pub role: Role,
    /// The token it showed, or with which it once joined.
    pub token: String,
    /// The worker that its certificate names; `None` where a token speaks.
    pub worker: Option<String>,
}

/// Why a call is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was shown.
    #[error("the coordinator wants its token, and none was shown")]
    Nothing,
    /// A worker that has not joined.
    #[error(
        "a worker shows a certificate here, and none was shown\nhint: `gramwise worker` joins by itself with a worker's token"
    )]
    NoCertificate,
    /// What was shown is no token, or of another coordinator.
    #[error("this is not the coordinator's token")]
    Unknown,
    /// It was one.
    #[error(
        "token {0} was revoked\nhint: on the coordinator's machine, `gramwise token create` makes another"
    )]
    Revoked(String),
    /// It was one.
    #[error(
        "token {0} has expired\nhint: on the coordinator's machine, `gramwise token create` makes another"
    )]
    Expired(String),
    /// A certificate that is not on the list any more.
    #[error(
        "this worker was revoked\nhint: with a new token it can join again; on the coordinator's machine, `gramwise token create --role worker` makes one"
    )]
    WorkerRevoked,
    /// It is for something else.
    #[error("a {}'s token cannot do this\nhint: on the coordinator's machine, `gramwise token create --role {}` makes one that can", .0.name(), .1.name())]
    Role(Role, Role),
}

/// A token on the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its public name.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// The SHA-256 of its secret.
    sha256: String,
    /// When it was made, in seconds since 1970.
    pub made_s: u64,
    /// When it ends, in seconds since 1970.
    pub expires_s: Option<u64>,
    /// It is refused.
    pub revoked: bool,
}

impl TokenRow {
    fn has_expired(&self) -> bool {
        self.expires_s.is_some_and(|end| end <= now_s())
    }
}

/// A worker that joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its certificate.
    sha256: String,
    /// The token it joined with.
    pub token: String,
    /// When, in seconds since 1970.
    pub joined_s: u64,
    /// It is refused.
    pub revoked: bool,
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    /// Tokens, oldest first.
    pub tokens: Vec<TokenRow>,
    /// Workers, oldest first.
    #[serde(default)]
    pub workers: Vec<WorkerRow>,
}

/// The list and where it is from.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None`: of this process alone.
    folder: Option<PathBuf>,
    /// What the file looked like when it was read, and what it said.
    read: Mutex<(Option<Look>, Known)>,
}

/// Tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look(u64, u64, i64, i64);

impl Access {
    /// Lets in one token, as long as this process lives.
    pub fn only(token: &Token) -> Self {
        let known = Known { tokens: vec![row(token, None)], workers: Vec::new() };
        Self(Arc::new(Inner { folder: None, read: Mutex::new((None, known)) }))
    }

    /// Is there a list in a folder?
    pub fn exists(folder: &Path) -> bool {
        folder.join(LIST).exists()
    }

    /// By the list in a folder, which need not be there yet.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        file::folder(folder)?;
        let known = read(folder)?;
        let look = look(&folder.join(LIST));
        Ok(Self(Arc::new(Inner { folder: Some(folder.to_owned()), read: Mutex::new((look, known)) })))
    }

    /// What the list says now.
    pub fn known(&self) -> Known {
        self.look(Known::clone)
    }

    /// Looks at the list as it is now.
    fn look<T>(&self, at: impl FnOnce(&Known) -> T) -> T {
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &self.0.folder {
            let now = look(&folder.join(LIST));
            // A file that cannot be read lets in whom it last let in; `gramwise token ls` says what is wrong with it.
            if now != read.0
                && let Ok(known) = self::read(folder)
            {
                *read = (now, known);
            }
        }
        at(&read.1)
    }

    /// Is a token on the list, with its secret?
    pub fn knows(&self, token: &Token) -> bool {
        let is_it = |row: &TokenRow| row.id == token.id && row.sha256 == hex(&token.digest()) && !row.revoked;
        self.look(|known| known.tokens.iter().any(is_it))
    }

    /// Puts a token on the list; `lasts` from now.
    pub fn add(&self, token: &Token, lasts: Option<Duration>) -> Result<(), Error> {
        self.change(|known| known.tokens.push(row(token, lasts)))
    }

    /// Puts a worker on the list.
    pub fn join(&self, name: &str, certificate: Fingerprint, token: &str) -> Result<(), Error> {
        self.change(|known| {
            known.workers.push(WorkerRow {
                name: name.to_owned(),
                sha256: certificate.to_string(),
                token: token.to_owned(),
                joined_s: now_s(),
                revoked: false,
            });
        })
    }

    /// Refuses a token from now on, and all workers that joined with it; or one worker. Answers how many were struck off.
    pub fn revoke(&self, id: &str) -> Result<usize, Error> {
        let mut count = 0;
        self.change(|known| {
            let tokens = known.tokens.iter_mut().filter(|row| row.id == id).map(|row| &mut row.revoked);
            let workers = known
                .workers
                .iter_mut()
                .filter(|row| row.name == id || row.token == id)
                .map(|row| &mut row.revoked);
            for revoked in tokens.chain(workers) {
                *revoked = true;
                count += 1;
            }
        })?;
        Ok(count)
    }

    /// Who shows this, if it may pass. `encrypted` calls for work want a certificate.
    pub fn admit(
        &self,
        door: Door,
        token: Option<&str>,
        certificate: Option<Fingerprint>,
        encrypted: bool,
    ) -> Result<Principal, Refused> {
        self.look(|known| known.admit(door, token, certificate, encrypted))
    }

    /// Leaves of those who were let in the ones who would be let in now, by one look at the list.
    pub fn retain_admitted<T>(&self, admitted: &mut Vec<T>, principal: impl Fn(&T) -> &Principal) {
        self.look(|known| {
            let workers = known.workers.iter().filter(|row| !row.revoked).map(|row| row.name.as_str());
            let tokens = known.tokens.iter().filter(|row| !row.revoked && !row.has_expired());
            let (workers, tokens): (HashSet<&str>, HashSet<&str>) =
                (workers.collect(), tokens.map(|row| row.id.as_str()).collect());
            admitted.retain(|one| match principal(one) {
                Principal { worker: Some(name), .. } => workers.contains(name.as_str()),
                Principal { worker: None, token, .. } => tokens.contains(token.as_str()),
            });
        });
    }

    fn change(&self, change: impl FnOnce(&mut Known)) -> Result<(), Error> {
        let Some(folder) = &self.0.folder else {
            change(&mut self.0.read.lock().unwrap_or_else(PoisonError::into_inner).1);
            return Ok(());
        };
        let path = folder.join("access.lock");
        let failed = |source: std::io::Error| Error::File { path: path.clone(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let mut known = read(folder)?;
        change(&mut known);
        let text = serde_json::to_string_pretty(&known).expect("a list of texts is JSON");
        file::write(&folder.join(LIST), &text)
    }
}

impl Known {
    fn admit(
        &self,
        door: Door,
        token: Option<&str>,
        certificate: Option<Fingerprint>,
        encrypted: bool,
    ) -> Result<Principal, Refused> {
        if let (Door::Work, true) = (door, encrypted) {
            let shown = certificate.ok_or(Refused::NoCertificate)?.to_string();
            let worker = self.workers.iter().find(|row| row.sha256 == shown && !row.revoked);
            let worker = worker.ok_or(Refused::WorkerRevoked)?;
            let (token, name) = (worker.token.clone(), worker.name.clone());
            return Ok(Principal { role: Role::Worker, token, worker: Some(name) });
        }
        let shown = Token::parse(token.ok_or(Refused::Nothing)?).map_err(|_| Refused::Unknown)?;
        // The name is public; the secret is compared by its digest, all of it.
        let row = self.tokens.iter().find(|row| row.id == shown.id).ok_or(Refused::Unknown)?;
        let expected: [u8; 32] = unhex(&row.sha256).ok_or(Refused::Unknown)?;
        if !is_same(&expected, &shown.digest()) || row.role != shown.role {
            return Err(Refused::Unknown);
        }
        if row.revoked {
            return Err(Refused::Revoked(row.id.clone()));
        }
        if row.has_expired() {
            return Err(Refused::Expired(row.id.clone()));
        }
        let wanted = match door {
            Door::Client => Role::Client,
            Door::Join | Door::Work => Role::Worker,
        };
        if row.role != wanted && row.role != Role::Owner {
            return Err(Refused::Role(row.role, wanted));
        }
        Ok(Principal { role: row.role, token: row.id.clone(), worker: None })
    }
}

fn read(folder: &Path) -> Result<Known, Error> {
    let path = folder.join(LIST);
    let Some(text) = file::read(&path)? else { return Ok(Known::default()) };
    serde_json::from_str(&text).map_err(|error| Error::Content {
        path,
        found: error.to_string(),
        expected: "a list of tokens and workers in JSON",
    })
}

fn look(path: &Path) -> Option<Look> {
    let found = path.metadata().ok()?;
    Some(Look(found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

fn row(token: &Token, lasts: Option<Duration>) -> TokenRow {
    TokenRow {
        id: token.id.clone(),
        role: token.role,
        sha256: hex(&token.digest()),
        made_s: now_s(),
        expires_s: lasts.map(|lasts| now_s().saturating_add(lasts.as_secs())),
        revoked: false,
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Takes as long wherever two digests differ.
fn is_same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0u8, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(role: Role) -> Token {
        Token::random(role, None).unwrap()
    }

    fn admitted(access: &Access, door: Door, token: &Token) -> Result<Role, Refused> {
        access.admit(door, Some(&token.secret()), None, false).map(|principal| principal.role)
    }

    #[test]
    fn each_role_opens_its_own_doors() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
        let [owner, client, worker] = [Role::Owner, Role::Client, Role::Worker].map(token);
        for one in [&owner, &client, &worker] {
            access.add(one, None).unwrap();
        }
        for door in [Door::Client, Door::Join, Door::Work] {
            assert_eq!(admitted(&access, door, &owner), Ok(Role::Owner));
            let of_client = admitted(&access, door, &client);
            let of_worker = admitted(&access, door, &worker);
            if door == Door::Client {
                assert_eq!(of_client, Ok(Role::Client));
                assert_eq!(of_worker, Err(Refused::Role(Role::Worker, Role::Client)));
            } else {
                assert_eq!(of_client, Err(Refused::Role(Role::Client, Role::Worker)));
                assert_eq!(of_worker, Ok(Role::Worker));
            }
        }
        let text = std::fs::read_to_string(folder.path().join(LIST)).unwrap();
        assert!(!text.contains(client.secret().rsplit('-').next().unwrap()), "no secret is kept");
    }

    #[test]
    fn strangers_the_revoked_and_the_expired_stay_outside() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
        let (kept, late) = (token(Role::Client), token(Role::Client));
        access.add(&kept, Some(Duration::from_secs(1000))).unwrap();
        access.add(&late, Some(Duration::ZERO)).unwrap();
        assert_eq!(admitted(&access, Door::Client, &kept), Ok(Role::Client));
        assert_eq!(admitted(&access, Door::Client, &late), Err(Refused::Expired(late.id.clone())));
        assert_eq!(admitted(&access, Door::Client, &token(Role::Client)), Err(Refused::Unknown));
        assert_eq!(access.admit(Door::Client, None, None, false), Err(Refused::Nothing));
        // The right name with another's secret; the right secret with a role that it has not.
        let forged = kept.secret().replace(&kept.id, &late.id);
        assert_eq!(access.admit(Door::Client, Some(&forged), None, false), Err(Refused::Unknown));
        let raised = kept.secret().replace("client", "owner");
        assert_eq!(access.admit(Door::Work, Some(&raised), None, false), Err(Refused::Unknown));
        // By another process, such as `gramwise token revoke`.
        assert_eq!(Access::open(folder.path()).unwrap().revoke(&kept.id).unwrap(), 1);
        assert_eq!(admitted(&access, Door::Client, &kept), Err(Refused::Revoked(kept.id.clone())));
        std::fs::write(folder.path().join(LIST), "rubbish").unwrap();
        assert_eq!(
            admitted(&access, Door::Client, &kept),
            Err(Refused::Revoked(kept.id.clone())),
            "as last known"
        );
        assert!(Access::open(folder.path()).unwrap_err().to_string().contains("expected a list"));
    }

    #[test]
    fn encrypted_work_wants_a_certificate_that_is_on_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
        let worker = token(Role::Worker);
        access.add(&worker, None).unwrap();
        let secret = worker.secret();
        let work = |certificate| access.admit(Door::Work, Some(&secret), certificate, true);
        assert_eq!(work(None), Err(Refused::NoCertificate));
        let (own, other) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        access.join("gpu1-aa", own, &worker.id).unwrap();
        assert_eq!(work(Some(own)).unwrap().worker.as_deref(), Some("gpu1-aa"));
        assert_eq!(work(Some(other)), Err(Refused::WorkerRevoked));
        let principal = work(Some(own)).unwrap();
        let still_admits = |principal: &Principal| {
            let mut admitted = vec![principal.clone()];
            access.retain_admitted(&mut admitted, |one| one);
            !admitted.is_empty()
        };
        assert!(still_admits(&principal));
        access.revoke("gpu1-aa").unwrap();
        assert!(!still_admits(&principal));
        assert_eq!(work(Some(own)), Err(Refused::WorkerRevoked));
        access.join("gpu2-bb", other, &worker.id).unwrap();
        access.revoke(&worker.id).unwrap();
        assert_eq!(work(Some(other)), Err(Refused::WorkerRevoked), "with the token it joined by");
    }
}
