//! Calls to the coordinator, and which of them are tried again.

use std::time::Duration;

use gramwise_wire::v1::LeaseRequest;
use gramwise_wire::v1::lease_reply::Answer;
use tonic::{Code, Status};

use crate::Client;

/// The pause before a call that found nobody is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(500);

/// Asks for a trial until there is an answer for this worker.
pub(crate) async fn lease(client: &mut Client, question: &LeaseRequest) -> Result<Answer, Status> {
    loop {
        match client.lease(question.clone()).await {
            Err(status) if is_transient(&status) => tokio::time::sleep(RETRY).await,
            Err(status) => return Err(status),
            // Asked again with the same number: an assignment that got lost on the way comes again.
            Ok(reply) => match reply.into_inner().answer {
                Some(Answer::Wait(false)) | None => {}
                Some(answer) => return Ok(answer),
            },
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
