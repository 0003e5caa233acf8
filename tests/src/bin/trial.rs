//! A training script that does as it is told: burns CPU, reports a curve, and misbehaves where a test wants it to.
//!
//! The curve depends on `lr`: below 0.5 the error falls like 1/step towards a floor that grows with the distance of `lr` from 0.1;
//! from 0.5 on it is `lr` and does not fall.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Whatever happens, a process that a test forgot is gone after this time.
const LONGEST: Duration = Duration::from_secs(120);

#[expect(clippy::zombie_processes, reason = "an orphan is what is wanted")]
fn main() {
    let asked = Asked::from_arguments();
    if asked.deaf && env::var_os("TRIAL_IS_DEAF").is_none() {
        deafen();
    }
    if asked.linger {
        rest(&|| false);
        return;
    }
    if asked.fork {
        // The middle process of a double fork: a session of its own, one child, gone.
        rustix::process::setsid().expect("a process that leads no group can found a session");
        let daemon =
            this_program().args(["--linger", "--deaf"]).spawn().expect("this program can be started");
        asked.note(daemon.id(), "daemon");
        return;
    }
    asked.note(std::process::id(), "trial");
    if let Some(file) = &asked.environment {
        let text = env::vars().fold(String::new(), |text, (name, value)| text + &name + "=" + &value + "\n");
        fs::write(format!("{file}-{}-{}", variable("TRIAL"), variable("ATTEMPT")), text).expect("can write");
    }
    if asked.daemon {
        let file = asked.pids.as_deref().unwrap_or("/dev/null");
        let status = this_program().args(["--fork", "--pids", file]).status();
        assert!(status.expect("this program can be started").success());
    }
    train(&asked);
}

fn train(asked: &Asked) {
    let steps: u64 = variable("STEPS").parse().expect("$GRAMWISE_STEPS is a number");
    let attempt: u32 = variable("ATTEMPT").parse().expect("$GRAMWISE_ATTEMPT is a number");
    let trial: u32 = variable("TRIAL").parse().expect("$GRAMWISE_TRIAL is a number");
    let checkpoint = format!("{}/step", variable("CHECKPOINT_DIR"));
    let done: u64 = match fs::read_to_string(&checkpoint) {
        Ok(text) if asked.checkpoint => text.trim().parse().expect("the checkpoint holds a number"),
        Ok(_) | Err(_) => 0,
    };
    let wait_for = |file: &Option<String>| {
        if let Some(file) = file.as_ref().filter(|_| trial >= asked.hold_from) {
            rest(&|| fs::exists(file).unwrap_or(false));
        }
    };
    wait_for(&asked.wait);
    for step in done + 1..=steps {
        burn(asked.step_ms);
        if asked.fail.is_some_and(|(_, at)| at == step) && attempt <= asked.fail_attempts {
            let mut stderr = std::io::stderr();
            writeln!(stderr, "{}", asked.say).expect("stderr is open");
            exit(asked.fail.expect("it was just looked at").0);
        }
        asked.report(step);
        if asked.checkpoint {
            // It may be stopped at any moment: a checkpoint is the old one or the new one, never half of one.
            let new = format!("{checkpoint}.new");
            fs::write(&new, step.to_string()).expect("the checkpoint folder is there");
            fs::rename(&new, &checkpoint).expect("both are in one folder");
        }
        if step >= asked.hold_after {
            wait_for(&asked.hold);
        }
    }
}

/// What the arguments say. Hyperparameters (`--lr=0.1`) are among them and are read from the environment instead.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Asked {
    /// CPU time of a step.
    step_ms: u64,
    /// Report on stdout rather than in the file.
    stdout: bool,
    /// Report a metric that is no objective.
    off_topic: bool,
    /// Exit so at this step.
    fail: Option<(i32, u64)>,
    fail_attempts: u32,
    /// The last words on stderr.
    say: String,
    /// Do not hear SIGTERM.
    deaf: bool,
    /// Leave a process behind that is in another session and deaf too.
    daemon: bool,
    fork: bool,
    linger: bool,
    checkpoint: bool,
    /// Wait before the first step until this file is there ...
    wait: Option<String>,
    /// ... and after each until this one is ...
    hold: Option<String>,
    /// ... from this trial on.
    hold_from: u32,
    /// The first step after which it waits.
    hold_after: u64,
    /// Where to note process numbers.
    pids: Option<String>,
    /// Where to write the environment.
    environment: Option<String>,
}

impl Asked {
    fn from_arguments() -> Self {
        let mut asked = Self { step_ms: 2, fail_attempts: u32::MAX, ..Self::default() };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut next = || words.next().expect("the flag takes a value");
            match word.as_str() {
                "--ms" => asked.step_ms = next().parse().expect("milliseconds"),
                "--stdout" => asked.stdout = true,
                "--off-topic" => asked.off_topic = true,
                "--fail" => {
                    asked.fail = Some((next().parse().expect("a code"), next().parse().expect("a step")));
                }
                "--fail-attempts" => asked.fail_attempts = next().parse().expect("a number"),
                "--say" => asked.say = next(),
                "--deaf" => asked.deaf = true,
                "--daemon" => asked.daemon = true,
                "--fork" => asked.fork = true,
                "--linger" => asked.linger = true,
                "--checkpoint" => asked.checkpoint = true,
                "--wait" => asked.wait = Some(next()),
                "--hold" => asked.hold = Some(next()),
                "--hold-after" => asked.hold_after = next().parse().expect("a step"),
                "--hold-from" => asked.hold_from = next().parse().expect("a trial"),
                "--pids" => asked.pids = Some(next()),
                "--environment" => asked.environment = Some(next()),
                _ => assert!(word.contains('='), "no flag of trial: {word}"),
            }
        }
        asked
    }

    fn report(&self, step: u64) {
        let metric = if self.off_topic { "accuracy" } else { "val_error" };
        let line = format!("{{\"step\": {step}, \"{metric}\": {}}}\n", error_at(step));
        if self.stdout {
            std::io::stdout().write_all(format!("gramwise: {line}").as_bytes()).expect("stdout is open");
        } else {
            append(&variable("REPORT"), &line);
        }
    }

    fn note(&self, pid: u32, role: &str) {
        if let Some(file) = &self.pids {
            append(file, &format!("{pid} {role} {} {}\n", variable("TRIAL"), variable("ATTEMPT")));
        }
    }
}

fn error_at(step: u64) -> f64 {
    let lr: f64 = env::var("GRAMWISE_PARAM_LR").map_or(0.1, |text| text.parse().expect("lr is a number"));
    if lr >= 0.5 {
        return lr;
    }
    0.05 + 0.1 * (lr.log10() + 1.0).abs() + 0.85 / step as f64
}

/// In one write, so that lines of several processes do not mix.
fn append(file: &str, line: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file can be written");
}

fn variable(name: &str) -> String {
    let name = format!("GRAMWISE_{name}");
    env::var(&name).unwrap_or_else(|_| panic!("${name} is not set"))
}

/// Uses up CPU time, however long that takes on a busy machine.
fn burn(milliseconds: u64) {
    let spent = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let until = spent() + Duration::from_millis(milliseconds);
    while spent() < until {
        std::hint::black_box((0..10_000u64).fold(1, |product: u64, factor| product.wrapping_mul(factor | 1)));
    }
}

fn rest(is_over: &dyn Fn() -> bool) {
    let end = Instant::now() + LONGEST;
    while !is_over() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts over with SIGTERM ignored, which only a shell can arrange without unsafe code.
fn deafen() -> ! {
    let arguments = ["-c", "trap '' TERM; exec \"$0\" \"$@\""];
    let program = env::current_exe().expect("a running program has a file");
    let error = Command::new("sh")
        .args(arguments)
        .arg(program)
        .args(env::args_os().skip(1))
        .env("TRIAL_IS_DEAF", "yes")
        .exec();
    panic!("cannot start sh: {error}");
}

fn this_program() -> Command {
    let mut command = Command::new(env::current_exe().expect("a running program has a file"));
    command.stdin(Stdio::null());
    command
}
