//! What a coordinator takes: under load, and with a long history.
//!
//! `cargo bench -p gramwise --bench serve` prints all of it; `-- load`, `-- trials` or `-- scale` a part.

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

mod load;
mod scale;
mod served;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("a soft limit can be raised");
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|word| word == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    if is_asked("load") {
        let (workers, seconds) = (number("GRAMWISE_WORKERS"), number("GRAMWISE_SECONDS"));
        runtime.block_on(load::many(workers.unwrap_or(1000), seconds.unwrap_or(60)));
    }
    if is_asked("trials") {
        runtime.block_on(load::one_by_one(number("GRAMWISE_TRIALS").unwrap_or(1000)));
    }
    if is_asked("scale") {
        scale::scale(number("GRAMWISE_TRIALS").unwrap_or(10_000));
    }
}
