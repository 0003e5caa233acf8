//! `gramwise token`: who is let in by the coordinator of this machine, also while it runs.

use gramwise_report::{Align, table};
use gramwise_trust::{Access, Authority, Role};

use crate::args::{Common, TokenCommand};
use crate::exit::{Exit, Failure};
use crate::output::{print, say, terminal};
use crate::token;

/// Makes, lists or revokes.
pub(super) fn tokens(common: &Common, command: &TokenCommand) -> anyhow::Result<Exit> {
    let authority = token::authority(common)?.map(|authority| authority.fingerprint);
    // What a coordinator would make when it begins: none may be there yet.
    let access = token::access(common, authority)?;
    match command {
        TokenCommand::Create { role, expires } => {
            print(token::made(&access, (*role).into(), authority, *expires)?.secret() + "\n")?;
        }
        TokenCommand::Ls => print(listed(&access))?,
        TokenCommand::Revoke { id } => {
            let by = access.known().workers.into_iter().find(|row| row.name == *id).map(|row| row.token);
            if access.revoke(id)? == 0 {
                return Err(Failure::error(
                    Exit::WrongInput,
                    format!("no token and no worker `{id}`\nhint: `gramwise token ls` lists them"),
                ));
            }
            if let Some(token) = by {
                say(
                    common,
                    &format!(
                        "the token that it joined with still lets machines join: `gramwise token revoke {token}` ends that, and all that joined with it"
                    ),
                );
            }
        }
    }
    Ok(Exit::Success)
}

fn listed(access: &Access) -> String {
    let known = access.known();
    let state = |revoked: bool| if revoked { "revoked" } else { "" }.to_owned();
    let day = |seconds: u64| gramwise_carbon::utc::minute(seconds.saturating_mul(1000));
    let tokens = known.tokens.iter().map(|row| {
        let expires = row.expires_s.map_or_else(|| "never".to_owned(), day);
        vec![row.id.clone(), row.role.name().to_owned(), day(row.made_s), expires, state(row.revoked)]
    });
    let workers = known.workers.iter().map(|row| {
        let by = format!("joined by {}", row.token);
        vec![row.name.clone(), by, day(row.joined_s), "never".to_owned(), state(row.revoked)]
    });
    let head = ["id", "role", "since", "expires", ""];
    table(&head, tokens.chain(workers).collect(), &[Align::Left; 5], terminal())
}

/// Makes what encryption needs, and a token for workers and one for clients; says what to do with them.
pub(super) fn init(common: &Common, port: u16) -> anyhow::Result<Exit> {
    let folder = token::folder(common)?;
    let authority = Authority::init(&folder)?.fingerprint;
    let access = token::access(common, Some(authority))?;
    let mut paths = Vec::new();
    for role in [Role::Worker, Role::Client] {
        let path = folder.join(format!("{}.token", role.name()));
        if !path.exists() {
            token::write(&token::made(&access, role, Some(authority), None)?, &path)?;
        }
        paths.push(path);
    }
    if let ([worker, client], false) = (paths.as_slice(), common.quiet) {
        eprintln!(
            "the coordinator's certificates and tokens are in {}; keep the folder to yourself",
            folder.display()
        );
        eprintln!("1. here: `gramwise serve --listen 0.0.0.0:{port}`");
        eprintln!(
            "2. on each worker: copy {} there, and `gramwise worker --coordinator THIS-HOST:{port} --token-file worker.token`",
            worker.display()
        );
        eprintln!(
            "3. where sweeps are submitted: copy {} there, and `gramwise submit FILE --coordinator THIS-HOST:{port} --token-file client.token`",
            client.display()
        );
    }
    Ok(Exit::Success)
}
