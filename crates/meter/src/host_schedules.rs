//! Random schedules: whoever comes and goes and whatever devices do, the books balance.
//!
//! `GRAMWISE_SCHEDULES=1000000 cargo test --release -p gramwise-meter host_schedules` runs the long campaign.

use std::time::Duration;

use gramwise_carbon::{Microjoules, Watts};
use proptest::prelude::*;

use crate::attribution::HostSnapshot;
use crate::clock::Moment;
use crate::device::{Raw, ReadError};
use crate::host::{ConsumerId, HostMeter, IdlePolicy};
use crate::host_tests::{Scripted, host, uuid};
use crate::replay::{Replay, gone, retry};

/// Packages wrap often: at 1 kJ. At 30 W, only half a minute of failures makes that ambiguous.
const RANGE: u64 = 1_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Open(u64, Vec<usize>),
    Attach(u64, u32),
    Close(u64, Option<u64>),
    Forget(u64),
    Sample,
    Busy { process: u32, cpu_ms: u64, megabytes: u64 },
    Ended(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let consumer = || 0u64..5;
    prop_oneof![
        (consumer(), prop::collection::vec(0usize..4, 0..3)).prop_map(|(who, gpus)| Step::Open(who, gpus)),
        (consumer(), 0u32..4).prop_map(|(who, process)| Step::Attach(who, process)),
        (consumer(), prop::option::of(0u64..5000)).prop_map(|(who, cpu)| Step::Close(who, cpu)),
        consumer().prop_map(Step::Forget),
        Just(Step::Sample),
        (0u32..4, 0u64..5000, 0u64..4096).prop_map(|(process, cpu_ms, megabytes)| Step::Busy {
            process,
            cpu_ms,
            megabytes
        }),
        (0u32..4).prop_map(Step::Ended),
    ]
}

/// What a counter does between two readings.
#[derive(Debug, Clone, Copy)]
enum Course {
    Grow(u64),
    Fail,
    Restart(u64),
    Garbage(u64),
    Vanish,
    /// Gone this time.
    Away,
}

fn honest(most: u64) -> impl Strategy<Value = Course> {
    prop_oneof![4 => (0..most).prop_map(Course::Grow), 1 => Just(Course::Fail)]
}

fn wild() -> impl Strategy<Value = Course> {
    prop_oneof![
        20 => honest(90_000_000),
        2 => (0..RANGE).prop_map(Course::Restart),
        1 => (0u64..1 << 50).prop_map(Course::Garbage),
        1 => Just(Course::Vanish),
        1 => Just(Course::Away),
    ]
}

/// The answers of a counter that takes this course, and what it counted from the first good answer to the last.
fn play(start: u64, range: Option<u64>, course: &[Course]) -> (Vec<Result<Raw, ReadError>>, Vec<u64>) {
    let (mut value, mut burnt, mut first, mut known) = (start, 0u64, None, 0);
    let mut answers = Vec::new();
    let mut truth = Vec::new();
    for course in course {
        let mut good = true;
        match course {
            Course::Grow(amount) => {
                value += amount;
                burnt += amount;
            }
            Course::Fail => good = false,
            Course::Away => {
                answers.push(gone());
                truth.push(known);
                continue;
            }
            Course::Restart(at) | Course::Garbage(at) => value = *at,
            Course::Vanish => {
                answers.push(gone());
                break;
            }
        }
        let shown = range.map_or(value, |range| value % range);
        answers.push(if good { Ok(Raw::Counter(shown)) } else { retry() });
        if good {
            known = burnt - *first.get_or_insert(burnt);
        }
        truth.push(known);
    }
    (answers, truth)
}

fn apply(meter: &mut HostMeter, processes: &Scripted, at: Moment, step: &Step) -> bool {
    match step {
        Step::Open(who, gpus) => {
            let gpus: Vec<String> = gpus.iter().map(|index| uuid(*index)).collect();
            meter.open_at(at, ConsumerId(*who), &gpus);
        }
        Step::Attach(who, process) => meter.attach_at(at, ConsumerId(*who), *process),
        Step::Close(who, cpu) => meter.close_at(at, ConsumerId(*who), cpu.map(Duration::from_millis)),
        Step::Forget(who) => {
            let sum = meter.sample_at(at).consumers.get(&ConsumerId(*who)).copied();
            meter.forget(ConsumerId(*who), sum.unwrap_or_default());
        }
        Step::Sample => drop(meter.sample_at(at)),
        Step::Busy { process, cpu_ms, megabytes } => {
            processes.tree(*process, *cpu_ms, *megabytes);
            processes.edit(|table| {
                table.own += Duration::from_millis(cpu_ms / 50);
                table.host += Duration::from_millis(cpu_ms / 2);
            });
            return false;
        }
        Step::Ended(process) => {
            processes.edit(|table| {
                table.trees.remove(process);
            });
            return false;
        }
    }
    true
}

fn policy() -> impl Strategy<Value = IdlePolicy> {
    prop_oneof![Just(IdlePolicy::Reserved), Just(IdlePolicy::Used), Just(IdlePolicy::Amortised)]
}

fn campaign() -> u32 {
    std::env::var("GRAMWISE_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(campaign()))]

    /// Whatever devices do and whoever comes and goes: all parts make up the total, and nothing ever falls.
    #[test]
    fn every_microjoule_has_exactly_one_payer(
        steps in prop::collection::vec((step(), 0u64..3000), 1..60),
        gpus in prop::collection::vec(prop::collection::vec(wild(), 120), 3),
        packages in prop::collection::vec(prop::collection::vec(wild(), 120), 0..3),
        memory_bytes in 0u64..1 << 40,
        policy in policy(),
        idle in prop::option::of(0.0..300.0f64),
        node in prop::option::of(prop::collection::vec(wild(), 120)),
    ) {
        let gpus = gpus.iter().map(|course| Replay::new(play(7, None, course).0).at_most(700.0)).collect();
        let packages = packages
            .iter()
            .map(|course| Replay::new(play(7, Some(RANGE), course).0).wrapping(RANGE).at_most(90.0))
            .collect();
        let (meter, processes) = host(gpus, packages, memory_bytes);
        let node = node.map(|course| Replay::new(play(7, None, &course).0).at_most(3000.0));
        let mut meter = meter.with(policy, idle.map(Watts::new), node);
        let mut now = 0;
        let mut before = meter.sample_at(Moment::default());
        for (step, pause) in &steps {
            now += pause;
            let at = Moment::at(now as f64 / 1e3);
            apply(&mut meter, &processes, at, step);
            let after = meter.sample_at(at);
            prop_assert!(after.is_balanced(), "{after:?}");
            for (before, after) in [
                (before.total, after.total),
                (before.idle, after.idle),
                (before.overhead, after.overhead),
                (before.other, after.other),
                (before.forgotten, after.forgotten),
            ] {
                prop_assert!(after.since(&before).is_some(), "{before:?} fell to {after:?}");
            }
            for (consumer, energy) in &before.consumers {
                let kept = after.consumers.get(consumer).is_some_and(|now| now.since(energy).is_some());
                prop_assert!(kept || after.forgotten.since(&before.forgotten).is_some_and(|more| more.since(energy).is_some()));
            }
            before = after;
        }
    }

    /// A counter that is away now and then, and goes on counting: once it has counted more than was estimated, the total is what
    /// it counted, to the microjoule.
    #[test]
    fn what_comes_back_is_settled_to_the_microjoule(
        course in prop::collection::vec(prop_oneof![
            3 => (0u64..700_000_000).prop_map(Course::Grow),
            1 => Just(Course::Fail),
            1 => Just(Course::Away),
        ], 1..40),
    ) {
        // Beyond all that can have been estimated.
        let rest = std::iter::repeat_n(Course::Grow(700_000_000), 200);
        let first = std::iter::once(Course::Grow(0));
        let (answers, truth) = play(7, None, &first.chain(course).chain(rest).collect::<Vec<_>>());
        let (mut meter, _) = host(vec![Replay::new(answers).at_most(700.0)], Vec::new(), 0);
        let total = truth.iter().enumerate().fold(Microjoules::ZERO, |_, (second, _)| {
            meter.sample_at(Moment::at(second as f64)).total.total()
        });
        prop_assert_eq!(total, Microjoules::new(truth[truth.len() - 1]));
    }

    /// Counters that wrap and fail, but never restart: the total is what they counted, to the microjoule, and none of it
    /// is estimated.
    #[test]
    fn honest_counters_are_booked_to_the_microjoule(
        steps in prop::collection::vec(step(), 1..60),
        gpus in prop::collection::vec(prop::collection::vec(honest(700_000_000), 61), 3),
        packages in prop::collection::vec(prop::collection::vec(honest(30_000_000), 61), 1..3),
        start in 0..RANGE,
        policy in policy(),
        idle in prop::option::of(0.0..300.0f64),
    ) {
        let gpus: Vec<_> = gpus.iter().map(|course| play(start, None, course)).collect();
        let packages: Vec<_> = packages.iter().map(|course| play(start, Some(RANGE), course)).collect();
        let (meter, processes) = host(
            gpus.iter().map(|(answers, _)| Replay::new(answers.clone()).at_most(700.0)).collect(),
            packages.iter().map(|(answers, _)| Replay::new(answers.clone()).wrapping(RANGE).at_most(30.0)).collect(),
            0,
        );
        let mut meter = meter.with(policy, idle.map(Watts::new), None);
        meter.sample_at(Moment::default());
        let mut readings = 1;
        for step in &steps {
            readings += usize::from(apply(&mut meter, &processes, Moment::at(readings as f64), step));
        }
        let snapshot = HostSnapshot { at: Duration::ZERO, ..meter.sample_at(Moment::at(readings as f64)) };
        let truth: u64 = gpus.iter().chain(&packages).map(|(_, truth)| truth[readings]).sum();
        prop_assert_eq!(snapshot.total.total(), Microjoules::new(truth));
        prop_assert_eq!(snapshot.total.amount().estimated, Microjoules::ZERO);
        prop_assert!(snapshot.is_balanced());
    }
}
