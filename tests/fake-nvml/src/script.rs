//! Reading the script: which GPUs there are, and what becomes of them.
//!
//! ```json
//! {"gpus": [{"uuid": "GPU-11111111-2222-3333-4444-555555555555", "name": "Fake H100",
//!            "memory_gb": 80, "limit_w": 700, "trace": [[0, 100], [5, 300], [10, 100]],
//!            "counter": true, "counter_percent": 100, "offset_mj": 123456, "reset_at_s": null, "lost_at_s": null, "mig": [], "others": []}]}
//! ```
//!
//! Only `uuid` and `trace` are required; the example shows the other fields at their defaults. A field that
//! is not known is a fault, so that a misspelt one does not pass in silence.

use std::ffi::{CStr, CString};
use std::path::Path;

use serde::{Deserialize, Deserializer, de::Error};

use crate::trace::{Trace, milliwatts, nanoseconds};

/// The longest text that fits the buffers of 96 bytes that NVML prescribes for a name and for a UUID.
const MAX_TEXT: usize = 95;

/// One GPU of the script. What it answers at a given time is in [`crate::gpu`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gpu {
    /// The name that no other GPU has.
    #[serde(deserialize_with = "text")]
    pub(crate) uuid: CString,
    /// The name of the product.
    #[serde(default = "product", deserialize_with = "text")]
    pub(crate) name: CString,
    /// The size of the memory, in the gigabytes of 2^30 bytes that a product name counts in.
    #[serde(default = "eighty")]
    pub(crate) memory_gb: u32,
    /// The enforced power limit, in milliwatts; the script has watts.
    #[serde(default = "seven_hundred_watts", rename = "limit_w", deserialize_with = "limit")]
    pub(crate) limit_mw: i64,
    /// The power: `[seconds, watts]`, again and again.
    pub(crate) trace: Trace,
    /// Whether the GPU has an energy counter at all.
    #[serde(default = "yes")]
    pub(crate) counter: bool,
    /// What the energy counter counts of each joule.
    #[serde(default = "all")]
    pub(crate) counter_percent: u64,
    /// What the energy counter shows at time 0.
    #[serde(default = "some_offset")]
    pub(crate) offset_mj: u64,
    /// When the counter restarts at 0, in nanoseconds; the script has seconds.
    #[serde(default, rename = "reset_at_s", deserialize_with = "time")]
    pub(crate) reset_at_ns: Option<i64>,
    /// When the GPU falls off the bus, in nanoseconds; the script has seconds.
    #[serde(default, rename = "lost_at_s", deserialize_with = "time")]
    pub(crate) lost_at_ns: Option<i64>,
    /// The instances that it is cut into; with any, its MIG mode is on.
    #[serde(default)]
    pub(crate) mig: Vec<Instance>,
    /// Who else computes on it, and when.
    #[serde(default)]
    pub(crate) others: Vec<Other>,
}

/// Somebody else: `{"pid": 1, "memory_gb": 10, "until_s": 5}`; without `pid` only its memory is seen, as from inside a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Other {
    /// The process's number.
    pub(crate) pid: Option<u32>,
    /// What it holds.
    pub(crate) memory_gb: u32,
    /// When it ends, in nanoseconds; the script has seconds.
    #[serde(default, rename = "until_s", deserialize_with = "time")]
    pub(crate) until_ns: Option<i64>,
}

/// A MIG instance: `{"uuid": "MIG-1", "slices": 3}`, of seven slices in all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    /// The name that no other instance has.
    #[serde(deserialize_with = "text")]
    pub(crate) uuid: CString,
    /// How much of the GPU it is.
    pub(crate) slices: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    gpus: Vec<Gpu>,
}

/// Reads the GPUs from a file; the fault, in one line, names the file.
pub(crate) fn read(file: &Path) -> Result<Vec<Gpu>, String> {
    let bytes = std::fs::read(file).map_err(|fault| format!("{}: {fault}", file.display()))?;
    parse(&bytes).map_err(|fault| format!("{}: {fault}", file.display()))
}

/// What there is without a script: two GPUs at a constant 100 W.
pub(crate) fn default_gpus() -> Vec<Gpu> {
    [c"GPU-00000000-0000-0000-0000-000000000000", c"GPU-00000000-0000-0000-0000-000000000001"]
        .map(|uuid: &CStr| Gpu {
            uuid: uuid.to_owned(),
            name: product(),
            memory_gb: eighty(),
            limit_mw: seven_hundred_watts(),
            trace: Trace::constant(100),
            counter: yes(),
            counter_percent: all(),
            offset_mj: some_offset(),
            reset_at_ns: None,
            lost_at_ns: None,
            mig: Vec::new(),
            others: Vec::new(),
        })
        .to_vec()
}

fn parse(json: &[u8]) -> Result<Vec<Gpu>, String> {
    let Script { gpus } = serde_json::from_slice(json).map_err(|fault| fault.to_string())?;
    for (i, gpu) in gpus.iter().enumerate() {
        if let Some(other) = gpus[..i].iter().position(|other| other.uuid == gpu.uuid) {
            return Err(format!("gpus {other} and {i} have the same uuid, {}", gpu.uuid.to_string_lossy()));
        }
    }
    Ok(gpus)
}

fn text<'de, D: Deserializer<'de>>(input: D) -> Result<CString, D::Error> {
    let text = String::deserialize(input)?;
    if text.is_empty() || text.len() > MAX_TEXT {
        return Err(D::Error::custom(format!("{text:?} is not a text of 1 to {MAX_TEXT} bytes")));
    }
    CString::new(text).map_err(D::Error::custom)
}

fn limit<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    match milliwatts(f64::deserialize(input)?).map_err(D::Error::custom)? {
        0 => Err(D::Error::custom("a power limit of 0 W")),
        limit => Ok(limit),
    }
}

fn time<'de, D: Deserializer<'de>>(input: D) -> Result<Option<i64>, D::Error> {
    let seconds = Option::<f64>::deserialize(input)?;
    seconds.map(nanoseconds).transpose().map_err(D::Error::custom)
}

fn product() -> CString {
    c"Fake H100".to_owned()
}

fn eighty() -> u32 {
    80
}

fn seven_hundred_watts() -> i64 {
    700_000
}

fn yes() -> bool {
    true
}

fn all() -> u64 {
    100
}

/// Not 0: a reader that takes the counter for a difference is found out.
fn some_offset() -> u64 {
    123_456
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let gpus = parse(br#"{"gpus": [{"uuid": "GPU-1", "trace": [[0, 100]]}]}"#).expect("a good script");
        let [gpu] = &gpus[..] else { panic!("one GPU, not {}", gpus.len()) };
        assert_eq!(gpu.uuid.as_c_str(), c"GPU-1");
        assert_eq!(gpu.name.as_c_str(), c"Fake H100");
        assert_eq!((gpu.memory_gb, gpu.limit_mw), (80, 700_000));
        assert_eq!((gpu.counter, gpu.offset_mj), (true, 123_456));
        assert_eq!((gpu.reset_at_ns, gpu.lost_at_ns), (None, None));
    }

    #[test]
    fn what_is_said_is_taken() {
        let gpus = parse(
            br#"{"gpus": [{"uuid": "GPU-1", "name": "Fake L4", "memory_gb": 24, "limit_w": 72.5,
                "trace": [[0, 16], [1, 72]], "counter": false, "offset_mj": 7,
                "reset_at_s": 2.5, "lost_at_s": 1e1}]}"#,
        )
        .expect("a good script");
        let gpu = &gpus[0];
        assert_eq!(gpu.name.as_c_str(), c"Fake L4");
        assert_eq!((gpu.memory_gb, gpu.limit_mw), (24, 72_500));
        assert_eq!((gpu.counter, gpu.offset_mj), (false, 7));
        assert_eq!((gpu.reset_at_ns, gpu.lost_at_ns), (Some(2_500_000_000), Some(10_000_000_000)));
    }

    #[test]
    fn a_host_may_have_no_gpu() {
        assert!(parse(br#"{"gpus": []}"#).expect("a good script").is_empty());
    }

    #[test]
    fn each_fault_is_one_line_that_says_what_and_where() {
        let gpu = |rest: &str| format!(r#"{{"gpus": [{{"uuid": "GPU-1", {rest}}}]}}"#);
        for (script, expected) in [
            ("{".to_owned(), "EOF while parsing an object at line 1 column 1"),
            ("{}".to_owned(), "missing field `gpus`"),
            (gpu(r#""name": "A""#), "missing field `trace`"),
            (gpu(r#""trace": []"#), "a trace needs at least one [seconds, watts]"),
            (gpu(r#""trace": [[0, 1, 2]]"#), "trailing characters"),
            (gpu(r#""trace": [[0, 1]], "lost_at": 3"#), "unknown field `lost_at`"),
            (gpu(r#""trace": [[0, 1]], "lost_at_s": -3"#), "-3 s is not a time"),
            (gpu(r#""trace": [[0, 1]], "limit_w": 0"#), "a power limit of 0 W"),
            (gpu(r#""trace": [[0, 1]], "name": """#), r#""" is not a text"#),
            (gpu(r#""trace": [[0, 1]], "name": "\u0000""#), "nul byte"),
            (
                gpu(r#""trace": [[0, 1]]}, {"uuid": "GPU-1", "trace": [[0, 1]]"#),
                "gpus 0 and 1 have the same uuid",
            ),
        ] {
            let fault = parse(script.as_bytes()).expect_err(&script);
            assert!(fault.contains(expected), "{script}\n  {fault}\n  should say {expected}");
            assert_eq!(fault.lines().count(), 1, "{fault}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = read(Path::new("/nowhere/script.json")).expect_err("there is no such file");
        assert!(fault.starts_with("/nowhere/script.json: "), "{fault}");
    }
}
