//! gRPC: convert, hand to the driver, await, convert back.

use gramwise_carbon::CarbonFactors;
use gramwise_model::work::Card;
use gramwise_model::{SweepId, SweepSpec, WorkerId};
use gramwise_search::Refused;
use gramwise_wire::convert::{Malformed, assignment_to_wire, instructions_to_wire, report_from_wire};
use gramwise_wire::v1;
use gramwise_wire::v1::lease_reply::Answer;
use tonic::{Request, Response, Status};

use crate::driver::{DriverHandle, Error, LeaseAnswer, Question};
use crate::feed::Feed;

/// Both services; all state is behind the driver.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    driver: DriverHandle,
    feed: Feed,
}

impl Service {
    pub(crate) fn new(driver: DriverHandle, feed: Feed) -> Self {
        Self { driver, feed }
    }
}

#[tonic::async_trait]
impl v1::sweeps_server::Sweeps for Service {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let v1::SubmitRequest { yaml, by } = request.into_inner();
        let (spec, _) =
            SweepSpec::from_yaml(&yaml).map_err(|problems| Status::invalid_argument(problems.to_string()))?;
        let factors = CarbonFactors::yearly(spec.carbon.zone.as_deref(), spec.carbon.pue)
            .map_err(|unknown| Status::invalid_argument(unknown.to_string()))?;
        let sweep = self.feed.submit(spec, factors, by).await?;
        Ok(Response::new(v1::SubmitReply { sweep: sweep.0 }))
    }

    async fn end(&self, request: Request<v1::EndRequest>) -> Result<Response<v1::EndReply>, Status> {
        let v1::EndRequest { sweep, why } = request.into_inner();
        self.driver.end(SweepId(sweep), why).await?;
        Ok(Response::new(v1::EndReply {}))
    }
}

#[tonic::async_trait]
impl v1::work_server::Work for Service {
    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseReply>, Status> {
        let v1::LeaseRequest { worker, request, description, free_gpus, gpus } = request.into_inner();
        if worker.is_empty() {
            return Err(Malformed::Missing("worker").into());
        }
        let gpus = gpus.into_iter().map(|v1::Gpu { uuid, model }| Card { uuid, model }).collect();
        let question = Question { worker: WorkerId(worker), description, gpus, request, free_gpus };
        let answer = match self.driver.ask(question).await? {
            LeaseAnswer::Assigned(assignment) => Answer::Assignment(assignment_to_wire(&assignment)),
            LeaseAnswer::Wait { joined } => Answer::Wait(joined),
            LeaseAnswer::Ended => Answer::Ended(true),
        };
        Ok(Response::new(v1::LeaseReply { answer: Some(answer) }))
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        let answer = self.driver.report(report_from_wire(request.into_inner())?).await?;
        let instructions = instructions_to_wire(&answer.instructions);
        Ok(Response::new(v1::ReportReply { acked_through: answer.acked_through, instructions }))
    }
}

/// Codes that tell a caller whether trying again can help: `UNAVAILABLE` can, the others cannot.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Refused(Refused::UnknownSweep(_) | Refused::UnknownWorker(_)) => Self::not_found(message),
            Error::Refused(Refused::WorkerGone(_)) => Self::aborted(message),
            Error::Refused(Refused::TotalFell(_) | Refused::Unbalanced { .. }) => {
                Self::invalid_argument(message)
            }
            Error::WarmStart(_) => Self::invalid_argument(message),
            Error::Journal(_) | Error::Gone | Error::Socket(_) | Error::Thread(_) => {
                Self::unavailable(message)
            }
        }
    }
}
