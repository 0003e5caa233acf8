//! Who may speak to a coordinator: whoever holds its token. It is a file of the user who runs it, so that others on the same machine,
//! who can reach a loopback port as well, can neither run commands through it nor take its trials.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

const KEY: &str = "authorization";

/// A secret that a coordinator and those who speak to it share. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has 32 to 256 letters, digits, `-` and `_`")]
pub struct NoToken;

impl Token {
    /// Reads one; blanks around it are left out.
    pub fn parse(text: &str) -> Result<Self, NoToken> {
        let text = text.trim();
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (32..=256).contains(&text.len()) && text.bytes().all(is_legal);
        if fits { Ok(Self(text.to_owned())) } else { Err(NoToken) }
    }

    /// One from random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let digit = |bits: u8| char::from(b"0123456789abcdef"[usize::from(bits)]);
        Self(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
    }

    /// For the file that it is kept in.
    pub fn secret(&self) -> &str {
        &self.0
    }

    fn header(&self) -> MetadataValue<Ascii> {
        format!("Bearer {}", self.0).parse().expect("letters and digits are a header's value")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

/// Shows the token with each call.
#[derive(Debug, Clone)]
pub struct Bearer(pub Token);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(KEY, self.0.header());
        Ok(request)
    }
}

/// Lets through what shows the token.
#[derive(Debug, Clone)]
pub struct Guard(pub Token);

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(shown) = request.metadata().get(KEY) else {
            return Err(Status::unauthenticated("the coordinator wants its token, and none was shown"));
        };
        if is_same(shown.as_bytes(), self.0.header().as_bytes()) {
            Ok(request)
        } else {
            Err(Status::unauthenticated("this is not the coordinator's token"))
        }
    }
}

/// Takes as long wherever two texts of one length differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0u8, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let (right, wrong) = (Token::from_random([7; 32]), Token::from_random([8; 32]));
        let answer = |shown: Option<&Token>| {
            let request = match shown {
                Some(token) => Bearer(token.clone()).call(Request::new(())).unwrap(),
                None => Request::new(()),
            };
            Guard(right.clone()).call(request).map(drop).map_err(|status| status.message().to_owned())
        };
        assert_eq!(answer(Some(&right)), Ok(()));
        assert!(answer(Some(&wrong)).unwrap_err().contains("not the coordinator's token"));
        assert!(answer(None).unwrap_err().contains("none was shown"));
        let mut cut = Request::new(());
        cut.metadata_mut().insert(KEY, "Bearer 07".parse().unwrap());
        assert!(Guard(right).call(cut).is_err());
    }

    #[test]
    fn tokens_are_read_strictly_and_never_shown() {
        let token = Token::from_random([255; 32]);
        assert_eq!(Token::parse(&format!(" {}\n", token.secret())), Ok(token.clone()));
        for wrong in [
            "",
            "short",
            &"a".repeat(257),
            &format!("{}\n{}", "a".repeat(20), "b".repeat(20)),
            &"ü".repeat(20),
        ] {
            assert_eq!(Token::parse(wrong), Err(NoToken));
        }
        assert!(!format!("{token:?} {:?}", Bearer(token.clone())).contains("ff"));
    }
}
