//! Refused calls are logged, each kind once for each peer: who tries again and again does not fill the log.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tonic::Code;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};

/// Kinds of refusals that are remembered; then all are forgotten, and logged once more.
const REMEMBERED: usize = 1000;

/// Who was refused, with which code, in which call.
type Kind = (Option<IpAddr>, i32, String);

/// Logs what the services below refuse.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals {
    seen: Arc<Mutex<BTreeSet<Kind>>>,
}

/// The services with the log around them.
#[derive(Debug, Clone)]
pub(crate) struct Logged<S> {
    inner: S,
    refusals: Refusals,
}

impl<S> Layer<S> for Refusals {
    type Service = Logged<S>;

    fn layer(&self, inner: S) -> Logged<S> {
        Logged { inner, refusals: self.clone() }
    }
}

impl<S, In, Out> Service<Request<In>> for Logged<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let tcp = request.extensions().get::<TcpConnectInfo>();
        let tls = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref);
        let peer = tcp.or(tls).and_then(TcpConnectInfo::remote_addr).map(|address| address.ip());
        let call = request.uri().path().to_owned();
        let refusals = self.refusals.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            if let Some(status) = tonic::Status::from_header_map(response.headers()) {
                refusals.note(peer, &call, &status);
            }
            Ok(response)
        })
    }
}

impl Refusals {
    fn note(&self, peer: Option<IpAddr>, call: &str, status: &tonic::Status) {
        let code = status.code();
        let is_refusal = matches!(
            code,
            Code::Unauthenticated
                | Code::PermissionDenied
                | Code::InvalidArgument
                | Code::OutOfRange
                | Code::ResourceExhausted
                | Code::Internal
        );
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        let kind = (peer, code as i32, call.to_owned());
        if is_refusal && seen.insert(kind) {
            let peer = peer.map_or_else(|| "somebody".to_owned(), |peer| peer.to_string());
            let what = status.message().lines().next().unwrap_or_default();
            tracing::warn!("refused {peer} ({call}): {what}; the same again is not logged");
        }
    }
}
