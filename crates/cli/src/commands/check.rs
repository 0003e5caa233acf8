//! `gramwise check`: is a sweep file right, and what does it mean?

use std::path::Path;

use gramwise_model::SweepSpec;

use crate::args::{Common, Methods};
use crate::exit::{Exit, Failure};
use crate::output::{colour_on_stderr, print};
use crate::sweep_file::{Severity, render};

/// Reads a file, prints what is wrong with it on stderr, and what it means on stdout.
pub(super) fn check(common: &Common, file: &Path) -> anyhow::Result<Exit> {
    let spec = read(file, common.quiet)?;
    let searched =
        spec.space.parameters().iter().filter(|parameter| parameter.distribution.is_searched()).count();
    let objectives: Vec<&str> = spec.objectives.iter().map(|objective| objective.name.as_str()).collect();
    print(format!(
        "{}: sweep `{}`, {searched} hyperparameters searched by {}, trials ended early by {}, objectives {}, {}\n",
        file.display(),
        spec.name,
        spec.method.name(),
        spec.prune.rule.name(),
        objectives.join(" and "),
        if spec.resource.is_open() {
            "each trial to its own end".to_owned()
        } else {
            format!("{} up to {}", spec.resource.name, spec.resource.max)
        },
    ))?;
    Ok(Exit::Success)
}

/// The sweep with what the command line overrules.
pub(super) fn overruled(mut spec: SweepSpec, methods: &Methods) -> anyhow::Result<SweepSpec> {
    if !methods.warm_start.is_empty() {
        spec.warm_start.clone_from(&methods.warm_start);
    }
    spec.with(methods.sampler.map(Into::into), methods.pruner.map(Into::into))
        .map_err(|what| Failure::error(Exit::WrongInput, what))
}

/// Reads a sweep file or fails with everything that is wrong with it; warnings go to stderr.
pub(super) fn read(file: &Path, quiet: bool) -> anyhow::Result<SweepSpec> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        let hint = "hint: name a sweep file, such as examples/digits/sweep.yaml";
        Failure::error(Exit::WrongInput, format!("cannot read {name}: {error}\n{hint}"))
    })?;
    match SweepSpec::from_yaml(&text) {
        Ok((mut spec, warnings)) => {
            // The file's name says more than the reader's default.
            if let (SweepSpec::DEFAULT_NAME, Some(stem)) = (spec.name.as_str(), file.file_stem()) {
                spec.name = stem.to_string_lossy().into_owned();
            }
            if !quiet && !warnings.0.is_empty() {
                eprint!("{}", render(&name, &text, &warnings, Severity::Warning, colour_on_stderr()));
            }
            Ok(spec)
        }
        Err(problems) => {
            eprint!("{}", render(&name, &text, &problems, Severity::Error, colour_on_stderr()));
            let count = problems.0.len();
            let what = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
            eprintln!("{name}: {what}; nothing was started");
            Err(Failure::error(Exit::WrongInput, ""))
        }
    }
}
