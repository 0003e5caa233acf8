//! Meters of a whole node: the kernel's `power_meter` (ACPI), or whatever a command prints (a BMC by Redfish or IPMI, a socket).
//!
//! They are slow (1 to 60 s) and see all that components leave out: power supplies, fans, boards, disks, network.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gramwise_carbon::{Joules, Watts};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::device::{Device, Raw, ReadError};

/// No node draws more: what says so is no power.
const MOST: Watts = Watts::new(1e6);
/// What a gap is filled with if no power was seen before it: a small server.
const USUAL: Watts = Watts::new(200.0);
/// A command is run again so long after it ended.
const PERIOD: Duration = Duration::from_secs(1);
/// What a command told is taken for now for so long.
const STALE: Duration = Duration::from_secs(120);
/// A command that has not ended after this time is ended.
const PATIENCE: Duration = Duration::from_secs(20);
/// One that has closed its output has so long to end.
const GOODBYE: Duration = Duration::from_millis(200);
/// The most of a command's output that is read.
const OUTPUT: u64 = 1 << 20;

/// Where a meter of the node is, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeSource {
    /// None, and none is looked for.
    Off,
    /// The kernel's power meter, at this folder of `/sys/class/hwmon` or the first that is there.
    Hwmon(Option<PathBuf>),
    /// A shell command that prints watts, joules, or a Redfish `Power` document.
    Exec(String),
}

/// What is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no meter of a node: `off`, `hwmon`, `hwmon:FOLDER`, or `exec:COMMAND`")]
pub struct UnknownNodeSource(String);

impl FromStr for NodeSource {
    type Err = UnknownNodeSource;
    fn from_str(text: &str) -> Result<Self, UnknownNodeSource> {
        match text.split_once(':') {
            Some(("hwmon", folder)) if !folder.is_empty() => Ok(Self::Hwmon(Some(folder.into()))),
            Some(("exec", command)) if !command.trim().is_empty() => Ok(Self::Exec(command.to_owned())),
            None if text == "hwmon" => Ok(Self::Hwmon(None)),
            None if text == "off" => Ok(Self::Off),
            Some(_) | None => Err(UnknownNodeSource(text.to_owned())),
        }
    }
}

impl fmt::Display for NodeSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::Hwmon(None) => formatter.write_str("hwmon"),
            Self::Hwmon(Some(folder)) => write!(formatter, "hwmon:{}", folder.display()),
            Self::Exec(command) => write!(formatter, "exec:{command}"),
        }
    }
}

/// Finds a source. `Ok(None)`: none was asked for, and the kernel has none. `Err` says why the one that was asked for is of no use.
pub(crate) fn open(source: Option<&NodeSource>, hwmon: &Path) -> Result<Option<Box<dyn Device>>, String> {
    match source {
        Some(NodeSource::Off) => Ok(None),
        None => Ok(power_meter(hwmon).map(|meter| Box::new(meter) as Box<dyn Device>)),
        Some(NodeSource::Hwmon(None)) => match power_meter(hwmon) {
            Some(meter) => Ok(Some(Box::new(meter))),
            None => Err(format!("no `power_meter` in {}", hwmon.display())),
        },
        Some(NodeSource::Hwmon(Some(folder))) => match Hwmon::at(folder) {
            Some(meter) => Ok(Some(Box::new(meter))),
            None => Err(format!("no readable `power1_average` or `power1_input` in {}", folder.display())),
        },
        Some(NodeSource::Exec(command)) => {
            let text = output(command)?;
            let first = parse(&text).map_err(|why| format!("`{command}` printed {why}"))?;
            Ok(Some(Box::new(Exec::start(command, first))))
        }
    }
}

fn power_meter(hwmon: &Path) -> Option<Hwmon> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(hwmon).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let is_meter = |folder: &&PathBuf| {
        fs::read_to_string(folder.join("name")).is_ok_and(|name| name.trim() == "power_meter")
    };
    folders.iter().filter(is_meter).find_map(|folder| Hwmon::at(folder))
}

/// A file of microwatts.
#[derive(Debug)]
struct Hwmon {
    file: PathBuf,
}

impl Hwmon {
    fn at(folder: &Path) -> Option<Self> {
        let files = ["power1_average", "power1_input"].map(|name| folder.join(name));
        let file = files.into_iter().find(|file| microwatts(file).is_ok())?;
        Some(Self { file })
    }
}

fn microwatts(file: &Path) -> Result<f64, ReadError> {
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ReadError::Gone(error.to_string()),
        _ => ReadError::Retry(error.to_string()),
    })?;
    let value = text.trim().parse::<f64>().ok().filter(|value| (0.0..=MOST.get() * 1e6).contains(value));
    value.ok_or_else(|| ReadError::Retry(format!("`{}` is no power", text.trim())))
}

impl Device for Hwmon {
    fn name(&self) -> &'static str {
        "node (hwmon)"
    }

    fn read(&mut self) -> Result<Raw, ReadError> {
        microwatts(&self.file).map(|microwatts| Raw::Power(Watts::new(microwatts / 1e6)))
    }

    fn range(&self) -> Option<u64> {
        None
    }

    fn max_power(&self) -> Option<Watts> {
        None
    }

    fn usual_power(&self) -> Watts {
        USUAL
    }
}

/// What a command printed last, and when.
type Latest = Arc<Mutex<(Instant, Result<Raw, String>)>>;

/// A command that is run again and again, on a thread of its own: nothing waits for it.
#[derive(Debug)]
struct Exec {
    latest: Latest,
}

impl Exec {
    fn start(command: &str, first: Raw) -> Self {
        let latest: Latest = Arc::new(Mutex::new((Instant::now(), Ok(first))));
        let (told, command) = (Arc::downgrade(&latest), command.to_owned());
        let run = move || {
            // Ends with the device.
            while let Some(latest) = told.upgrade() {
                let answer = output(&command).and_then(|text| parse(&text));
                *latest.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), answer);
                drop(latest);
                std::thread::sleep(PERIOD);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("node".to_owned()).spawn(run) {
            tracing::warn!(%error, "cannot start the thread that asks the node's meter");
        }
        Self { latest }
    }
}

impl Device for Exec {
    fn name(&self) -> &'static str {
        "node (command)"
    }

    fn read(&mut self) -> Result<Raw, ReadError> {
        let (at, answer) = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if at.elapsed() > STALE {
            return Err(ReadError::Retry(format!("its command has not ended for {} s", STALE.as_secs())));
        }
        answer.map_err(ReadError::Retry)
    }

    fn range(&self) -> Option<u64> {
        None
    }

    fn max_power(&self) -> Option<Watts> {
        Some(MOST)
    }

    fn usual_power(&self) -> Watts {
        USUAL
    }
}

/// What a command prints on stdout.
fn output(command: &str) -> Result<String, String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run `{command}`: {error}"))?;
    let (answer, printed) = sync_channel(1);
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.map(|stdout| stdout.take(OUTPUT).read_to_string(&mut text));
        drop(answer.send(read.unwrap_or(Ok(0)).map(|_| text)));
    });
    let text = printed.recv_timeout(PATIENCE);
    if text.is_err() || child.try_wait().is_ok_and(|ended| ended.is_none()) {
        // It printed and goes on, or it hangs: it and what it started end here.
        std::thread::sleep(if text.is_ok() { GOODBYE } else { Duration::ZERO });
        if child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for `{command}`: {error}"))?;
    let text = text.map_err(|_| format!("`{command}` told nothing within {} s", PATIENCE.as_secs()))?;
    let text = text.map_err(|error| format!("cannot read what `{command}` printed: {error}"))?;
    if status.success() || (status.code().is_none() && !text.is_empty()) {
        Ok(text)
    } else {
        Err(format!("`{command}` ended with {status}"))
    }
}

/// Reads watts (`123.4`, `220 Watts`), joules since some moment (`98765 J`), or a Redfish document: `PowerControl[0].PowerConsumedWatts`
/// (`/redfish/v1/Chassis/<id>/Power`) or `PowerWatts.Reading` (`.../EnvironmentMetrics`). Of text, the first number with a unit counts, of IPMI the instantaneous one.
fn parse(text: &str) -> Result<Raw, String> {
    let found = || {
        format!("`{}`, which holds no watts and no joules", text.trim().chars().take(60).collect::<String>())
    };
    let watts = |value: f64| (0.0..=MOST.get()).contains(&value).then(|| Raw::Power(Watts::new(value)));
    if text.trim_start().starts_with('{') {
        let document: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("broken JSON ({error})"))?;
        let power = document.pointer("/PowerControl/0/PowerConsumedWatts");
        let power =
            power.or_else(|| document.pointer("/PowerWatts/Reading")).and_then(serde_json::Value::as_f64);
        return power.and_then(watts).ok_or_else(found);
    }
    // A BMC tells the power of now beside means over days.
    let now = text.lines().find(|line| line.trim_start().to_ascii_lowercase().starts_with("instantaneous"));
    let words: Vec<&str> = now.unwrap_or(text).split_whitespace().collect();
    if let [only] = words.as_slice()
        && let Ok(value) = only.parse()
    {
        return watts(value).ok_or_else(found);
    }
    let pairs = words.windows(2).filter_map(|pair| Some((pair[0].parse::<f64>().ok()?, pair[1])));
    let mut answers = pairs.filter_map(|(value, unit)| {
        match unit.trim_end_matches([',', ';', '.']).to_ascii_lowercase().as_str() {
            "w" | "watt" | "watts" => watts(value),
            // Below what a counter of microjoules holds.
            "j" | "joule" | "joules" if (0.0..1e12).contains(&value) => {
                Some(Raw::Counter(Joules::new(value).to_exact().get()))
            }
            _ => None,
        }
    });
    answers.next().ok_or_else(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::check_power;

    #[test]
    fn what_commands_print_is_watts_or_joules() {
        let power = |watts: f64| Ok(Raw::Power(Watts::new(watts)));
        assert_eq!(parse("123.5\n"), power(123.5));
        let ipmi = "\n    Instantaneous power reading:                   220 Watts\n    Minimum during sampling period:  12 Watts\n    Average power reading over sample period:  176 Watts\n";
        assert_eq!(parse(ipmi), power(220.0));
        assert_eq!(parse("socket: 98.5 J,"), Ok(Raw::Counter(98_500_000)));
        let redfish = r#"{"@odata.id": "/redfish/v1/Chassis/1/Power", "PowerControl": [{"PowerConsumedWatts": 344, "MemberId": "0"}]}"#;
        assert_eq!(parse(redfish), power(344.0));
        assert_eq!(parse(r#"{"PowerWatts": {"Reading": 41.5}}"#), power(41.5));
        for wrong in [
            "",
            "no answer",
            "-5",
            "1e13",
            "1e300 J",
            "NaN",
            "12 apples",
            r#"{"PowerControl": []}"#,
            r#"{"PowerControl": [{"PowerConsumedWatts": null}]}"#,
            "{",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sources_are_read_as_they_are_written() {
        for text in ["off", "hwmon", "hwmon:/sys/class/hwmon/hwmon3", "exec:ipmitool dcmi power reading"] {
            assert_eq!(text.parse::<NodeSource>().unwrap().to_string(), text);
        }
        for wrong in ["", "ipmi", "exec:", "hwmon:", "redfish:https://bmc"] {
            assert!(wrong.parse::<NodeSource>().unwrap_err().to_string().contains("exec:COMMAND"));
        }
    }

    #[test]
    fn the_kernels_power_meter_is_found_by_its_name_and_keeps_the_contract() {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in [("hwmon0", "coretemp"), ("hwmon1", "power_meter")] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("name"), format!("{name}\n")).unwrap();
        }
        let file = root.path().join("hwmon1/power1_average");
        assert!(open(None, root.path()).unwrap().is_none(), "its file is not there");
        assert!(open(Some(&NodeSource::Hwmon(None)), root.path()).is_err());
        fs::write(&file, "0\n").unwrap();
        let mut meter = open(None, root.path()).unwrap().unwrap();
        check_power(&mut *meter, |watts| {
            fs::write(&file, format!("{}\n", u64::from(watts) * 1_000_000)).unwrap();
        });
        fs::write(&file, "rubbish").unwrap();
        assert!(matches!(meter.read(), Err(ReadError::Retry(_))));
        fs::remove_file(&file).unwrap();
        assert!(matches!(meter.read(), Err(ReadError::Gone(_))));
        assert!(open(Some(&NodeSource::Off), root.path()).unwrap().is_none());
    }

    #[test]
    fn a_command_is_asked_again_and_again_and_one_that_fails_is_refused_at_once() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("watts");
        fs::write(&file, "100 W\n").unwrap();
        let source = NodeSource::Exec(format!("cat {}", file.display()));
        let mut meter = open(Some(&source), root.path()).unwrap().unwrap();
        let until = |meter: &mut Box<dyn Device>, watts: f64| {
            let began = Instant::now();
            while meter.read() != Ok(Raw::Power(Watts::new(watts))) {
                assert!(began.elapsed() < Duration::from_secs(30), "{:?}", meter.read());
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        until(&mut meter, 100.0);
        fs::write(&file, "150 W\n").unwrap();
        until(&mut meter, 150.0);
        for (command, what) in
            [("echo nothing", "no watts"), ("exit 3", "exit status: 3"), ("echo {", "broken JSON")]
        {
            let refused = open(Some(&NodeSource::Exec(command.to_owned())), root.path()).err().unwrap();
            assert!(refused.contains(what), "{refused}");
        }
    }
}
