//! Calls to the coordinator, and which of them are tried again.

use std::time::Duration;

use gramwise_model::work::Report;
use gramwise_trust::{Address, is_distrusted};
use gramwise_wire::convert::report_to_wire;
use gramwise_wire::v1::lease_reply::Answer;
use gramwise_wire::v1::{LeaseRequest, ReportReply};
use tonic::{Code, Status};

use crate::Client;

/// The pause before a call that found nobody is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(500);

/// Asks for a trial until there is an answer. `stranger` says whose answer is the first, and where it is asked for.
pub(crate) async fn lease(
    client: &mut Client,
    question: &LeaseRequest,
    stranger: Option<&Address>,
) -> Result<Answer, Status> {
    let mut told = false;
    loop {
        match client.lease(question.clone()).await {
            Err(status) if stranger.is_some() && is_distrusted(&status) => {
                let why = stranger.map(|address| distrusted(address, &status)).unwrap_or_default();
                return Err(Status::unauthenticated(why));
            }
            Err(status) if is_transient(&status) => {
                if let (Some(address), false) = (stranger, std::mem::replace(&mut told, true)) {
                    tracing::warn!(
                        "{address} does not answer ({}); trying again\nhint: the token says whether calls are encrypted; is it one of this coordinator?",
                        cause(&status)
                    );
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(status) => return Err(status),
            // Asked again with the same number, an assignment that got lost on the way comes again.
            Ok(reply) => {
                if let Some(answer) = reply.into_inner().answer {
                    return Ok(answer);
                }
            }
        }
    }
}

/// Tells a report, as often as it takes to be heard.
pub(crate) async fn report(
    client: &mut Client,
    report: &Report,
    address: &Address,
) -> Result<ReportReply, Status> {
    let mut told = false;
    loop {
        match client.report(report_to_wire(report)).await {
            Err(status) if is_distrusted(&status) => {
                return Err(Status::unauthenticated(distrusted(address, &status)));
            }
            Err(status) if is_transient(&status) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("{address} does not answer ({}); trying again", cause(&status));
                }
                tokio::time::sleep(RETRY).await;
            }
            answered => return answered.map(tonic::Response::into_inner),
        }
    }
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

/// What to say where somebody else answers.
pub(crate) fn distrusted(address: &Address, status: &Status) -> String {
    format!(
        "{address} is not the coordinator that the token is for ({})\nhint: `gramwise token create --role worker` on its machine makes one that names it",
        cause(status)
    )
}

/// Why a call did not come through, in words: what lies deepest says most.
pub(crate) fn cause(status: &Status) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(status);
    let mut words = status.message().to_owned();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    words
}
