//! gRPC: convert, hand to the driver, await, convert back.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use gramwise_carbon::{CarbonFactors, GramsCo2e};
use gramwise_model::work::{Card, Host};
use gramwise_model::{IntensityFrom, SweepId, SweepSpec, TrialId, WorkerId};
use gramwise_search::{Command, Refused, Replication};
use gramwise_trust::{Access, Authority, Principal, Role};
use gramwise_wire::convert::{
    Malformed, assignment_to_wire, attempt_from_wire, config_from_wire, instructions_to_wire,
    report_from_wire,
};
use gramwise_wire::v1;
use gramwise_wire::v1::control_request::Action;
use gramwise_wire::v1::lease_reply::Answer as Leased;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::feed::Feed;
use crate::handle::{DriverHandle, Error, LeaseAnswer, Question, ReportAnswer};
use crate::output::{LARGEST_PIECE, Outputs};
use crate::{Answer, Answers};

/// Questions that are answered at once: each reads the database.
const QUESTIONS: usize = 4;
/// Bytes of one part of an answer.
const PART: usize = 1 << 20;

/// All services; all state of sweeps is behind the driver.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) driver: DriverHandle,
    pub(crate) feed: Feed,
    pub(crate) outputs: Outputs,
    pub(crate) answers: Answers,
    pub(crate) asking: Arc<Semaphore>,
    pub(crate) access: Access,
    pub(crate) authority: Option<Arc<Authority>>,
}

impl Service {
    pub(crate) fn questions() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(QUESTIONS))
    }
}

/// A stream of answers that is computed already.
type Parts = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::AnswerPart, Status>> + Send>>;

#[tonic::async_trait]
impl v1::sweeps_server::Sweeps for Service {
    type AnswerStream = Parts;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let role = principal(&request)?.role;
        let v1::SubmitRequest { yaml, by } = request.into_inner();
        let (spec, _) =
            SweepSpec::from_yaml(&yaml).map_err(|problems| Status::invalid_argument(problems.to_string()))?;
        if let Some(IntensityFrom::File(file)) = &spec.carbon.intensity {
            may_read(role, file)?;
        }
        let factors = CarbonFactors::yearly(spec.carbon.zone.as_deref(), spec.carbon.pue)
            .map_err(|unknown| Status::invalid_argument(unknown.to_string()))?;
        let sweep = self.feed.submit(spec, factors, by).await?;
        Ok(Response::new(v1::SubmitReply { sweep: sweep.0 }))
    }

    async fn replicate(
        &self,
        request: Request<v1::ReplicateRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let v1::ReplicateRequest { sweep, top, seeds, co2e_g, by } = request.into_inner();
        if top == 0 || seeds == 0 {
            return Err(Malformed::Missing(if top == 0 { "top" } else { "seeds" }).into());
        }
        if let Some(found) = co2e_g.filter(|mass| !(mass.is_finite() && *mass > 0.0)) {
            let (field, found) = ("co2e_g", found.to_string());
            return Err(Malformed::Illegal { field, expected: "grams above zero", found }.into());
        }
        let asked = Replication { top, seeds, co2e: co2e_g.map(GramsCo2e::new) };
        let spec = self.driver.replicas(Some(sweep).filter(|name| !name.is_empty()), asked).await?;
        let factors = CarbonFactors::yearly(spec.carbon.zone.as_deref(), spec.carbon.pue)
            .map_err(|unknown| Status::invalid_argument(unknown.to_string()))?;
        let sweep = self.feed.submit(spec, factors, by).await?;
        Ok(Response::new(v1::SubmitReply { sweep: sweep.0 }))
    }

    async fn control(
        &self,
        request: Request<v1::ControlRequest>,
    ) -> Result<Response<v1::ControlReply>, Status> {
        let action = request.get_ref().action();
        let v1::ControlRequest { sweep, by, .. } = request.into_inner();
        let sweep = SweepId(sweep);
        let end = |done: &str, let_finish| Command::End { sweep, why: format!("{done} by {by}"), let_finish };
        self.driver
            .carry_out(match action {
                Action::Pause => Command::Hold { sweep, held: true, by },
                Action::Resume => Command::Hold { sweep, held: false, by },
                Action::Stop => end("stopped", true),
                Action::Cancel => end("cancelled", false),
                Action::Unspecified => return Err(Malformed::Missing("action").into()),
            })
            .await?;
        Ok(Response::new(v1::ControlReply {}))
    }

    async fn enqueue(
        &self,
        request: Request<v1::EnqueueRequest>,
    ) -> Result<Response<v1::EnqueueReply>, Status> {
        let v1::EnqueueRequest { sweep, config, by } = request.into_inner();
        let trial = self.driver.enqueue(SweepId(sweep), config_from_wire(config)?, by).await?;
        Ok(Response::new(v1::EnqueueReply { trial: trial.0 }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainReply>, Status> {
        let v1::DrainRequest { worker } = request.into_inner();
        let drained = self.driver.drain(worker.clone()).await?;
        if drained.is_empty() {
            return Err(Status::not_found(format!("no worker and no host `{worker}` is here")));
        }
        Ok(Response::new(v1::DrainReply { workers: drained.into_iter().map(|worker| worker.0).collect() }))
    }

    async fn answer(&self, request: Request<v1::Question>) -> Result<Response<Parts>, Status> {
        let v1::Question { words, width, colour } = request.into_inner();
        let _turn =
            self.asking.acquire().await.map_err(|_| Status::unavailable("the coordinator has stopped"))?;
        let answers = self.answers.clone();
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        let answered = tokio::task::spawn_blocking(move || answers.answer(&words, width, colour)).await;
        let Answer { text, error, exit, more, through } =
            answered.map_err(|error| Status::internal(error.to_string()))?;
        let part = |text: &[u8]| v1::AnswerPart { text: text.to_vec(), ..v1::AnswerPart::default() };
        let mut parts: Vec<Result<v1::AnswerPart, Status>> =
            text.chunks(PART).map(|text| Ok(part(text))).collect();
        parts.push(Ok(v1::AnswerPart { text: Vec::new(), error, exit: exit.into(), more, through }));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }
}

#[tonic::async_trait]
impl v1::work_server::Work for Service {
    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseReply>, Status> {
        let worker = speaker(&request, &request.get_ref().worker)?;
        let principal = principal(&request)?.clone();
        let v1::LeaseRequest { request, description, free_gpus, gpus, host, place, cpus, memory, .. } =
            request.into_inner();
        let gpus = gpus.into_iter().map(|v1::Gpu { uuid, model }| Card { uuid, model }).collect();
        let host = Host { name: host, description, gpus, cpus, memory, place };
        let answer = match self.driver.ask(Question { worker, principal, host, request, free_gpus }).await? {
            LeaseAnswer::Assigned(assignment) => Leased::Assignment(assignment_to_wire(&assignment)),
            LeaseAnswer::Wait { joined } => Leased::Wait(joined),
            LeaseAnswer::Ended => Leased::Ended(true),
            LeaseAnswer::Drained => Leased::Drained(true),
        };
        Ok(Response::new(v1::LeaseReply { answer: Some(answer) }))
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        speaker(&request, &request.get_ref().worker)?;
        let request = request.into_inner();
        let kept = request.kept.iter().map(|trial| TrialId(*trial)).collect();
        let answer = self.driver.report(report_from_wire(request)?, kept).await?;
        let instructions = instructions_to_wire(&answer.instructions);
        let ReportAnswer { acked_through, drained, discard, .. } = answer;
        let discard = discard.into_iter().map(|trial| trial.0).collect();
        Ok(Response::new(v1::ReportReply { acked_through, instructions, drained, discard }))
    }

    async fn output(&self, request: Request<v1::OutputRequest>) -> Result<Response<v1::OutputReply>, Status> {
        let worker = speaker(&request, &request.get_ref().worker)?;
        let stream = request.get_ref().stream();
        let v1::OutputRequest { attempt, offset, bytes, .. } = request.into_inner();
        let attempt = attempt_from_wire(attempt)?;
        if bytes.len() > LARGEST_PIECE {
            let found = format!("{} bytes", bytes.len());
            return Err(Malformed::Illegal { field: "bytes", expected: "256 KiB at most", found }.into());
        }
        let name = match stream {
            v1::output_request::Stream::Stdout => "stdout.log",
            v1::output_request::Stream::Stderr => "stderr.log",
            v1::output_request::Stream::Unspecified => return Err(Malformed::Missing("stream").into()),
        };
        if !self.driver.is_of(attempt, worker).await? {
            return Err(Status::permission_denied(format!("attempt {attempt} is another worker's")));
        }
        let outputs = self.outputs.clone();
        let written =
            tokio::task::spawn_blocking(move || outputs.append(attempt, name, offset, &bytes)).await;
        let through = written
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| Status::unavailable(format!("cannot keep a trial's output: {error}")))?;
        Ok(Response::new(v1::OutputReply { through }))
    }
}

#[tonic::async_trait]
impl v1::trust_server::Trust for Service {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        let token = principal(&request)?.token.clone();
        let v1::JoinRequest { public_key, host } = request.into_inner();
        let Some(authority) = &self.authority else {
            return Err(Status::failed_precondition("nothing is encrypted here: a worker shows its token"));
        };
        if public_key.len() != 65 || public_key.first() != Some(&4) {
            let found = format!("{} bytes", public_key.len());
            return Err(Malformed::Illegal {
                field: "public_key",
                expected: "an uncompressed P-256 point",
                found,
            }
            .into());
        }
        let failed = |error: gramwise_trust::Error| Status::internal(error.to_string());
        let name = worker_name(&host, &public_key);
        let (certificate, fingerprint) = authority.certify(&name, &public_key).map_err(failed)?;
        self.access.join(&name, fingerprint, &token).map_err(failed)?;
        tracing::info!(worker = name, token, "a worker joined");
        Ok(Response::new(v1::JoinReply { certificate, name }))
    }
}

/// A worker's name: its host's, as far as that can be one, and something that no other has.
fn worker_name(host: &str, public_key: &[u8]) -> String {
    let legal = |letter: &char| letter.is_ascii_alphanumeric() || ['.', '_', '-'].contains(letter);
    let host: String = host.chars().filter(legal).take(63).collect();
    let host = if host.is_empty() { "worker" } else { &host };
    let own = gramwise_trust::Fingerprint::of(public_key).to_string();
    format!("{host}-{}", &own[..8])
}

/// A file of intensities is read on the coordinator's machine: by the word of who runs it, and of nobody else.
fn may_read(role: Role, file: &Path) -> Result<(), Status> {
    let what = format!("`carbon.intensity: {}` names a file of the coordinator's machine", file.display());
    if role != Role::Owner {
        let hint = "name a publisher, such as uk; `gramwise restate` reckons with a file afterwards";
        return Err(Status::permission_denied(format!(
            "{what}, which a client cannot have read\nhint: {hint}"
        )));
    }
    if file.is_relative() {
        return Err(Status::invalid_argument(format!("{what}\nhint: its whole path is wanted, from / on")));
    }
    Ok(())
}

fn principal<T>(request: &Request<T>) -> Result<&Principal, Status> {
    let found = request.extensions().get::<Principal>();
    found.ok_or_else(|| Status::internal("the call passed no door"))
}

/// The worker that a call speaks for: one whose name begins with that of the certificate, where one was shown.
fn speaker<T>(request: &Request<T>, worker: &str) -> Result<WorkerId, Status> {
    if worker.is_empty() {
        return Err(Malformed::Missing("worker").into());
    }
    match &principal(request)?.worker {
        Some(own) if worker.strip_prefix(own.as_str()).is_none_or(|rest| !rest.starts_with('-')) => {
            Err(Status::permission_denied(format!("worker {own} cannot speak for {worker}")))
        }
        Some(_) | None => Ok(WorkerId(worker.to_owned())),
    }
}

/// Codes that tell a caller whether trying again can help: `UNAVAILABLE` can, the others cannot.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Refused(Refused::UnknownSweep(_) | Refused::UnknownWorker(_)) => Self::not_found(message),
            Error::Refused(Refused::WorkerGone(_)) => Self::aborted(message),
            Error::Refused(Refused::Over(_)) => Self::failed_precondition(message),
            Error::Refused(
                Refused::TotalFell(_) | Refused::Unbalanced { .. } | Refused::Configuration(_),
            )
            | Error::WarmStart(_)
            | Error::Replicate(_) => Self::invalid_argument(message),
            Error::Journal(_) | Error::Gone | Error::Socket(_) | Error::Thread(_) | Error::Tls(_) => {
                Self::unavailable(message)
            }
        }
    }
}
