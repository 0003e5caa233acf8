//! From a sweep's command and a configuration to the arguments of a process.
//!
//! The macros are those of Weights & Biases sweep files, so that such a file works unchanged.

use gramwise_model::{Config, Value};

/// A command that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unexpandable {
    /// Nothing is left to run.
    #[error("the command is empty")]
    Empty,
    /// `${envvar:NAME}` names a variable that is not set on this worker.
    #[error("the command uses ${{envvar:{0}}}, but the variable is not set on this worker")]
    NoVariable(String),
}

/// Expands the macros of a command. `args_file` is where `${args_json_file}` finds the configuration; `variable` looks up
/// the worker's environment.
pub(crate) fn expand(
    command: &[String],
    config: &Config,
    args_file: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Unexpandable> {
    let mut words = Vec::new();
    for word in command {
        match word.as_str() {
            "${env}" => words.push("/usr/bin/env".to_owned()),
            "${interpreter}" => words.push("python".to_owned()),
            "${args}" => words.extend(flags(config, "--")),
            "${args_no_hyphens}" => words.extend(flags(config, "")),
            "${args_no_boolean_flags}" => words.extend(switches(config)),
            "${args_json}" => words.push(json(config)),
            "${args_json_file}" => words.push(args_file.to_owned()),
            other => words.push(with_variables(other, &variable)?),
        }
    }
    if words.is_empty() { Err(Unexpandable::Empty) } else { Ok(words) }
}

/// The configuration as one JSON object.
pub(crate) fn json(config: &Config) -> String {
    let object: serde_json::Map<String, serde_json::Value> =
        config.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    serde_json::Value::Object(object).to_string()
}

fn flags<'a>(config: &'a Config, hyphens: &'a str) -> impl Iterator<Item = String> + 'a {
    config.iter().map(move |(name, value)| format!("{hyphens}{name}={value}"))
}

/// Like `${args}`, but a true value is a bare flag and a false one is left out.
fn switches(config: &Config) -> impl Iterator<Item = String> + '_ {
    config.iter().filter_map(|(name, value)| match value {
        Value::Bool(true) => Some(format!("--{name}")),
        Value::Bool(false) => None,
        Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Null => Some(format!("--{name}={value}")),
    })
}

fn with_variables(word: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, Unexpandable> {
    const OPEN: &str = "${envvar:";
    let mut expanded = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((name, tail)) = after.split_once('}') else { break };
        expanded.push_str(before);
        expanded.push_str(&variable(name).ok_or_else(|| Unexpandable::NoVariable(name.to_owned()))?);
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(words: &[&str]) -> Result<Vec<String>, Unexpandable> {
        let config: Config = [
            ("lr".to_owned(), Value::Float(1e-3)),
            ("nesterov".to_owned(), Value::Bool(true)),
            ("amsgrad".to_owned(), Value::Bool(false)),
            ("opt".to_owned(), Value::Text("sgd".into())),
        ]
        .into();
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        expand(&words, &config, "/tmp/args.json", |name| (name == "HOME").then(|| "/root".to_owned()))
    }

    #[test]
    fn every_macro_expands() {
        assert_eq!(
            expanded(&["${env}", "${interpreter}", "train.py", "${args}"]).unwrap(),
            [
                "/usr/bin/env",
                "python",
                "train.py",
                "--amsgrad=false",
                "--lr=0.001",
                "--nesterov=true",
                "--opt=sgd"
            ]
        );
        assert_eq!(
            expanded(&["t", "${args_no_boolean_flags}"]).unwrap(),
            ["t", "--lr=0.001", "--nesterov", "--opt=sgd"]
        );
        assert_eq!(expanded(&["t", "${args_no_hyphens}"]).unwrap()[2], "lr=0.001");
        assert_eq!(
            expanded(&["t", "${args_json_file}", "${envvar:HOME}/x"]).unwrap()[1..],
            ["/tmp/args.json", "/root/x"]
        );
        let json: serde_json::Value = serde_json::from_str(&expanded(&["${args_json}"]).unwrap()[0]).unwrap();
        assert_eq!(json["nesterov"], true);
    }

    #[test]
    fn what_cannot_be_expanded_is_named() {
        assert_eq!(expanded(&["${envvar:NOPE}"]).unwrap_err(), Unexpandable::NoVariable("NOPE".into()));
        assert_eq!(expanded(&[]).unwrap_err(), Unexpandable::Empty);
    }
}
