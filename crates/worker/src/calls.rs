//! Calls to the coordinator, and which of them are tried again.

use std::time::Duration;

use gramwise_model::work::Report;
use gramwise_trust::{Address, deepest, is_distrusted};
use gramwise_wire::convert::report_to_wire;
use gramwise_wire::v1::lease_reply::Answer;
use gramwise_wire::v1::{LeaseRequest, ReportReply};
use tonic::{Code, Response, Status};

use crate::Client;

/// The pause before a call that found nobody is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(500);
/// What may be wrong where a worker that is not known yet is not answered.
const IS_IT_OF_THIS: &str =
    "\nhint: the token says whether calls are encrypted; is it one of this coordinator?";

/// Calls until there is an answer, or somebody else answers who never will be the right one. Says once that nobody does; `hint` is what to
/// try then.
pub(crate) async fn heard<T, Call>(
    address: &Address,
    hint: &str,
    mut call: impl FnMut() -> Call,
) -> Result<T, Status>
where
    Call: Future<Output = Result<Response<T>, Status>>,
{
    let mut told = false;
    loop {
        match call().await {
            Err(status) if is_distrusted(&status) => {
                let why = cause(&status);
                return Err(Status::unauthenticated(format!(
                    "{address} is not the coordinator that the token is for ({why})\nhint: `gramwise token create --role worker` on its machine makes one that names it"
                )));
            }
            Err(status) if is_transient(&status) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("{address} does not answer ({}); trying again{hint}", cause(&status));
                }
                tokio::time::sleep(RETRY).await;
            }
            answered => return answered.map(Response::into_inner),
        }
    }
}

/// Asks for a trial until there is an answer. A worker that the coordinator knows asks in silence, and goes on also where somebody else
/// answers for a while: its reports tell.
pub(crate) async fn lease(
    client: &Client,
    question: &LeaseRequest,
    stranger: Option<&Address>,
) -> Result<Answer, Status> {
    let call = || {
        let (mut client, question) = (client.clone(), question.clone());
        async move { client.lease(question).await }
    };
    loop {
        let answered = match stranger {
            Some(address) => heard(address, IS_IT_OF_THIS, call).await,
            None => call().await.map(Response::into_inner),
        };
        match answered {
            Err(status) if stranger.is_none() && is_transient(&status) => tokio::time::sleep(RETRY).await,
            Err(status) => return Err(status),
            // Asked again with the same number, an assignment that got lost on the way comes again.
            Ok(reply) => {
                if let Some(answer) = reply.answer {
                    return Ok(answer);
                }
            }
        }
    }
}

/// Tells a report, as often as it takes to be heard.
pub(crate) async fn report(
    client: &Client,
    report: &Report,
    address: &Address,
) -> Result<ReportReply, Status> {
    let message = report_to_wire(report);
    let call = || {
        let (mut client, message) = (client.clone(), message.clone());
        async move { client.report(message).await }
    };
    heard(address, "", call).await
}

/// Can the same call succeed later? What a coordinator says itself is final; all else is the way to it, or its death.
pub(crate) fn is_transient(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::Aborted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
            | Code::PermissionDenied
    )
}

/// Why a call did not come through, in words: what lies deepest says most.
pub(crate) fn cause(status: &Status) -> String {
    std::error::Error::source(status).map_or_else(|| status.message().to_owned(), deepest)
}
