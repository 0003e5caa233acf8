//! Showing who one is, and asking for it: with every call.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};

use crate::access::{Access, Door, Refused};
use crate::authority::Fingerprint;
use crate::token::Token;

const KEY: &str = "authorization";
const SCHEME: &str = "Bearer ";

/// Shows a token with each call; nothing where a certificate speaks.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    pub(crate) fn new(token: Option<&Token>) -> Self {
        Self(token.map(|token| {
            let header = format!("{SCHEME}{}", token.secret());
            header.parse().expect("letters, digits and hyphens are a header's value")
        }))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Bearer(..)")
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert(KEY, header.clone());
        }
        Ok(request)
    }
}

/// Lets through who may pass, before a byte of the message is read; the call then knows its [`crate::Principal`].
#[derive(Debug, Clone)]
pub struct Guard {
    /// By this list.
    pub access: Access,
    /// For this.
    pub door: Door,
}

impl Interceptor for Guard {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get(KEY).map(|value| value.to_str().unwrap_or_default());
        let token = shown.map(|header| header.strip_prefix(SCHEME).unwrap_or_default());
        let tls = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = tls.and_then(TlsConnectInfo::peer_certs);
        let certificate =
            certificates.as_ref().and_then(|shown| shown.first()).map(|one| Fingerprint::of(one));
        let admitted = self.access.admit(self.door, token, certificate, tls.is_some());
        let principal = admitted.map_err(|refused| match refused {
            Refused::Role(..) => Status::permission_denied(refused.to_string()),
            Refused::Nothing
            | Refused::NoCertificate
            | Refused::Unknown
            | Refused::Revoked(_)
            | Refused::Expired(_)
            | Refused::WorkerRevoked => Status::unauthenticated(refused.to_string()),
        })?;
        request.extensions_mut().insert(principal);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Principal, Role};

    #[test]
    fn a_shown_token_makes_a_principal() {
        let (right, wrong) =
            (Token::random(Role::Client, None).unwrap(), Token::random(Role::Client, None).unwrap());
        let access = Access::only(&right);
        let answer = |shown: Option<&Token>| {
            let request = Bearer::new(shown).call(Request::new(())).unwrap();
            Guard { access: access.clone(), door: Door::Client }.call(request)
        };
        let principal = answer(Some(&right)).unwrap().extensions().get::<Principal>().cloned().unwrap();
        assert_eq!((principal.role, principal.token), (Role::Client, right.id.clone()));
        assert_eq!(answer(Some(&wrong)).unwrap_err().code(), tonic::Code::Unauthenticated);
        assert!(answer(None).unwrap_err().message().contains("none was shown"));
        for header in ["", "Bearer", "Bearer ", "Basic abc", &right.secret()] {
            let mut request = Request::new(());
            request.metadata_mut().insert(KEY, header.parse().unwrap());
            assert!(Guard { access: access.clone(), door: Door::Client }.call(request).is_err(), "{header}");
        }
        let mut odd = Request::new(());
        odd.metadata_mut().insert(KEY, MetadataValue::try_from(&b"Bearer \xff"[..]).unwrap());
        assert!(Guard { access: access.clone(), door: Door::Client }.call(odd).is_err());
        assert!(!format!("{:?}", Bearer::new(Some(&right))).contains(&right.id));
    }
}
