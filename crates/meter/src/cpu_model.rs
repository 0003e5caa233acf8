//! The power of one busy CPU core where nothing measures it: thermal design power by processor name, divided by cores.

use std::sync::LazyLock;

use gramwise_carbon::{Provenance, Watts};

/// The power of one busy core and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CorePower {
    /// Watts per busy logical CPU.
    pub(crate) watts: Watts,
    /// Modelled if the processor is known, estimated if not.
    pub(crate) provenance: Provenance,
    /// In words, for findings and reports.
    pub(crate) how: String,
}

struct Row {
    /// Normalised name.
    name: String,
    watts: f64,
    cores: Option<f64>,
}

/// Finds a processor's power per core by the name that `/proc/cpuinfo` gives. `siblings` is the number of logical CPUs of one
/// package, `None` in a virtual machine, which shows only its own share of them.
pub(crate) fn core_power(cpu_name: &str, siblings: Option<u32>) -> CorePower {
    let known = find(cpu_name).and_then(|row| {
        let (count, of) = match (siblings, row.cores) {
            (Some(siblings), _) if siblings > 0 => (f64::from(siblings), "logical CPUs"),
            (_, Some(cores)) => (cores, "cores"),
            (_, None) => return None,
        };
        let watts = Watts::new(row.watts / count);
        let how = format!("{:.0} W thermal design power / {count:.0} {of} x CPU time", row.watts);
        Some(CorePower { watts, provenance: Provenance::Modelled, how })
    });
    known.unwrap_or_else(|| {
        let watts = median_per_core();
        let how = format!(
            "{:.1} W per core (median of known processors; this one is not among them) x CPU time",
            watts.get()
        );
        CorePower { watts, provenance: Provenance::Estimated, how }
    })
}

/// The longest table name that occurs in the processor's name as whole words and has a digit (names such as "AMD EPYC" fit
/// a hundred processors and say nothing).
fn find(cpu_name: &str) -> Option<&'static Row> {
    let wanted = format!(" {} ", normalised(cpu_name));
    table()
        .iter()
        .filter(|row| row.name.bytes().any(|byte| byte.is_ascii_digit()) && row.name.len() >= 4)
        .filter(|row| wanted.contains(&format!(" {} ", row.name)))
        .max_by_key(|row| (row.name.len(), row.cores.is_some()))
}

/// The median over table rows that state their cores.
fn median_per_core() -> Watts {
    let mut all: Vec<f64> = table().iter().filter_map(|row| Some(row.watts / row.cores?)).collect();
    all.sort_by(f64::total_cmp);
    Watts::new(all.get(all.len() / 2).copied().expect("the shipped table has rows with cores"))
}

fn table() -> &'static [Row] {
    static TABLE: LazyLock<Vec<Row>> =
        LazyLock::new(|| include_str!("../data/cpu_tdp.csv").lines().skip(1).filter_map(row).collect());
    &TABLE
}

/// Name, watts, cores, source, licence; the names hold no commas and no quotes.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split(',');
    let name = normalised(fields.next()?);
    let watts = fields.next()?.parse().ok()?;
    let cores = fields.next()?.parse().ok();
    Some(Row { name, watts, cores })
}

/// Lower case, without trade marks, clock rates and the words that makers add.
fn normalised(name: &str) -> String {
    let name = name.to_lowercase().replace("(r)", " ").replace("(tm)", " ");
    let name = name.split('@').next().unwrap_or_default();
    let dull = |word: &&str| {
        !matches!(*word, "cpu" | "processor" | "intel" | "amd")
            && !word.ends_with("-core")
            && !word.is_empty()
    };
    name.split_whitespace().filter(dull).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_processors_are_found_by_their_full_name() {
        let power = core_power("AMD EPYC 7552 48-Core Processor", Some(96));
        assert_eq!(power.provenance, Provenance::Modelled);
        assert!((power.watts.get() - 200.0 / 96.0).abs() < 1e-9, "{power:?}");
        let in_a_vm = core_power("AMD 7552", None);
        assert!((in_a_vm.watts.get() - 200.0 / 48.0).abs() < 1e-9, "{in_a_vm:?}");
        let xeon = core_power("Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", Some(40));
        assert!((xeon.watts.get() - 150.0 / 40.0).abs() < 1e-9, "{xeon:?}");
    }

    #[test]
    fn unknown_processors_are_estimated_and_say_so() {
        for name in ["AMD EPYC", "", "Imaginary 9000X"] {
            let power = core_power(name, Some(4));
            assert_eq!(power.provenance, Provenance::Estimated, "{name}");
            assert!(power.watts.get() > 1.0 && power.watts.get() < 30.0);
            assert!(power.how.contains("median"));
        }
    }

    #[test]
    fn the_whole_table_is_read() {
        assert!(table().len() > 4900, "{}", table().len());
    }
}
