//! One question over HTTP, and every way in which it can go wrong.

use std::time::Duration;

use gramwise_carbon::Publisher;
use serde::de::DeserializeOwned;

/// The most that an answer may hold. A year of five-minute readings has a tenth of it.
const MOST_BYTES: u64 = 32 << 20;

/// Why a publisher did not tell intensities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It wants a key that was not given.
    #[error("{} wants a key\nhint: set {variable}", publisher.title())]
    NoKey {
        /// Who.
        publisher: Publisher,
        /// The environment variable that should hold it.
        variable: &'static str,
    },
    /// No answer came.
    #[error("{} cannot be reached: {why}", publisher.title())]
    Unreachable {
        /// Who.
        publisher: Publisher,
        /// Why.
        why: String,
    },
    /// It knows the question and says no: a wrong key, a region that the account does not include.
    #[error("{} refused ({status}): {why}", publisher.title())]
    Refused {
        /// Who.
        publisher: Publisher,
        /// The HTTP status.
        status: u16,
        /// What it said.
        why: String,
    },
    /// It was asked too often.
    #[error("{} was asked too often; it wants to be asked again in {} s", publisher.title(), again.as_secs())]
    TooOften {
        /// Who.
        publisher: Publisher,
        /// When it may be asked again.
        again: Duration,
    },
    /// It is broken.
    #[error("{} fails ({status})", publisher.title())]
    Failing {
        /// Who.
        publisher: Publisher,
        /// The HTTP status.
        status: u16,
    },
    /// Its answer is none.
    #[error("{} answered what is no answer: {what}", publisher.title())]
    Malformed {
        /// Who.
        publisher: Publisher,
        /// What was found.
        what: String,
    },
}

/// How to prove who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proof<'a> {
    Nothing,
    /// A header and its value.
    Header(&'static str, &'a str),
    /// The same; the answer is a secret, and quoted nowhere.
    Secret(&'static str, &'a str),
}

/// `timeout` is the longest that one question takes, connecting included.
pub(crate) fn agent(timeout: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        // A key must not follow to wherever a redirect points.
        .max_redirects(0)
        .user_agent(concat!("gramwise/", env!("CARGO_PKG_VERSION")))
        .build();
    config.new_agent()
}

/// Asks for JSON.
pub(crate) fn get<T: DeserializeOwned>(
    agent: &ureq::Agent,
    publisher: Publisher,
    url: &str,
    proof: Proof<'_>,
) -> Result<T, Error> {
    let unreachable = |error: &ureq::Error| Error::Unreachable { publisher, why: error.to_string() };
    let mut question = agent.get(url).header("accept", "application/json");
    if let Proof::Header(name, value) | Proof::Secret(name, value) = proof {
        question = question.header(name, value);
    }
    let mut answer = question.call().map_err(|error| unreachable(&error))?;
    let status = answer.status().as_u16();
    let again = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer
        .body_mut()
        .with_config()
        .limit(MOST_BYTES)
        .read_to_string()
        .map_err(|error| unreachable(&error))?;
    match status {
        200 => serde_json::from_str(&body).map_err(|error| {
            let quoted = matches!(proof, Proof::Secret(..)).then(String::new);
            let quoted = quoted.unwrap_or_else(|| format!(", in `{}`", beginning(&body)));
            Error::Malformed { publisher, what: format!("{error}{quoted}") }
        }),
        429 => Err(Error::TooOften { publisher, again: Duration::from_secs(again.unwrap_or(60)) }),
        500.. => Err(Error::Failing { publisher, status }),
        _ => Err(Error::Refused { publisher, status, why: beginning(&body) }),
    }
}

/// The first words of an answer, on one line.
fn beginning(body: &str) -> String {
    let line = body.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = |letter: &char| !letter.is_control();
    line.chars().filter(clean).take(120).collect()
}
