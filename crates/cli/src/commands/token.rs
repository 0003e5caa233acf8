//! `gramwise token`: who is let in by the coordinator of this machine, also while it runs.

use gramwise_report::{Align, table};
use gramwise_trust::{Access, Authority, Role, Token};

use crate::args::{Common, TokenCommand};
use crate::exit::{Exit, Failure};
use crate::output::{print, say, terminal};
use crate::token;

/// Makes, lists or revokes.
pub(super) fn tokens(common: &Common, command: &TokenCommand) -> anyhow::Result<Exit> {
    let folder = token::folder(common)?;
    if !Access::exists(&folder) {
        return Err(Failure::error(
            Exit::WrongInput,
            format!(
                "there are no tokens in {}: no coordinator has served this database\nhint: tokens are made on the coordinator's machine, the first by `gramwise serve --init`; --db says which database",
                folder.display()
            ),
        ));
    }
    let authority = token::authority(common)?.map(|authority| authority.fingerprint);
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
            say(common, &format!("{id} is not let in any more"));
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

/// Makes what encryption needs, and a token for workers and one for clients; says what to do with them. What is there stays, as long as it
/// opens this coordinator.
pub(super) fn init(common: &Common, port: u16) -> anyhow::Result<Exit> {
    let folder = token::folder(common)?;
    let was_there = Authority::exists(&folder);
    let kept = |role: Role| {
        let path = folder.join(format!("{}.token", role.name()));
        (std::fs::read_to_string(&path).ok().and_then(|text| Token::parse(&text).ok()), path)
    };
    if !was_there
        && let (Some(token), path) = kept(Role::Worker)
        && token.authority.is_some()
    {
        return Err(Failure::error(
            Exit::WrongInput,
            format!(
                "{} names an authority that is not in {} any more\nhint: restore authority.pem and authority.key from a backup; or remove the token, and hand new ones to all workers and clients",
                path.display(),
                folder.display()
            ),
        ));
    }
    let authority = Authority::init(&folder)?.fingerprint;
    let access = token::access(common, Some(authority))?;
    let mut paths = Vec::new();
    for role in [Role::Worker, Role::Client] {
        let (token, path) = kept(role);
        let opens =
            |token: Token| token.role == role && token.authority == Some(authority) && access.knows(&token);
        if !token.is_some_and(opens) {
            if path.exists() {
                say(
                    common,
                    &format!("{} did not open this coordinator any more: it is a new one", path.display()),
                );
            }
            token::write(&token::made(&access, role, Some(authority), None)?, &path)?;
        }
        paths.push(path);
    }
    let [worker, client] = paths.as_slice() else { return Ok(Exit::Success) };
    let already = if was_there { " already" } else { "" };
    say(
        common,
        &format!(
            "the coordinator's certificates and tokens are{already} in {}; keep the folder to yourself\n\
         1. here: `gramwise serve --listen 0.0.0.0:{port}`\n\
         2. on each worker: copy {} there, and `gramwise worker --coordinator THIS-HOST:{port} --token-file worker.token`\n\
         3. where sweeps are submitted: copy {} there, and `gramwise submit FILE --coordinator THIS-HOST:{port} --token-file client.token`",
            folder.display(),
            worker.display(),
            client.display()
        ),
    );
    Ok(Exit::Success)
}
