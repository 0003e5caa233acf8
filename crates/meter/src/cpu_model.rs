//! The power of one busy CPU core where nothing measures it: thermal design power by processor name, divided by cores.

use std::collections::BTreeMap;
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

/// What the table says of a processor.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    /// Thermal design power.
    watts: f64,
    /// Is the power from a row that also states cores? Where sources disagree, those rows were found to be the worse.
    weak: bool,
    cores: Option<f64>,
}

/// Finds a processor's power per core by the name that `/proc/cpuinfo` gives. `siblings` is the number of logical CPUs of one
/// package, `None` in a virtual machine, which shows only its own share of them; its CPUs are then taken for whole cores,
/// which is the upper bound.
pub(crate) fn core_power(cpu_name: &str, siblings: Option<u32>) -> CorePower {
    let known = find(cpu_name).and_then(|row| {
        let siblings = siblings.filter(|siblings| *siblings > 0).map(f64::from);
        let (count, of) = siblings
            .map(|count| (count, "logical CPUs"))
            .or_else(|| row.cores.or_else(|| stated_cores(cpu_name)).map(|count| (count, "cores")))?;
        let watts = Watts::new(row.watts / count);
        let how = format!("{:.0} W thermal design power / {count:.0} {of} x CPU time", row.watts);
        Some(CorePower { watts, provenance: Provenance::Modelled, how })
    });
    known.unwrap_or_else(|| {
        let watts = median_per_core();
        let how = format!("{:.1} W per core, the median of known processors, x CPU time", watts.get());
        CorePower { watts, provenance: Provenance::Estimated, how }
    })
}

/// The longest table name that occurs in the processor's name as whole words, and beside which no other number is left: beside
/// `E5-2690`, a `v4` says that it is another processor. Names without any number ("AMD EPYC") say nothing.
fn find(cpu_name: &str) -> Option<Row> {
    let wanted = normalised(cpu_name);
    let words: Vec<&str> = wanted.split(' ').collect();
    let numbered = |words: &[&str]| words.iter().filter(|word| has_digit(word)).count();
    let all = numbered(&words);
    let spans = (0..words.len()).flat_map(|from| (from + 1..=words.len()).map(move |to| from..to));
    spans
        .filter(|span| all > 0 && numbered(&words[span.clone()]) == all)
        .filter_map(|span| Some((span.len(), *table().get(&words[span].join(" "))?)))
        .max_by_key(|(length, _)| *length)
        .map(|(_, row)| row)
}

/// Some names say it: "AMD EPYC 7763 64-Core Processor".
fn stated_cores(cpu_name: &str) -> Option<f64> {
    let name = cpu_name.to_lowercase();
    let count: u32 = name.split_whitespace().find_map(|word| word.strip_suffix("-core"))?.parse().ok()?;
    (count > 0).then(|| f64::from(count))
}

/// The median over table rows that state their cores (85 rows of Green Algorithms: 10.8 W; nine in
/// ten lie between 4.4 and 22.8 W).
fn median_per_core() -> Watts {
    let mut all: Vec<f64> = table().values().filter_map(|row| Some(row.watts / row.cores?)).collect();
    all.sort_by(f64::total_cmp);
    Watts::new(all.get(all.len() / 2).copied().expect("the shipped table has rows with cores"))
}

/// Rows by normalised name.
fn table() -> &'static BTreeMap<String, Row> {
    static TABLE: LazyLock<BTreeMap<String, Row>> = LazyLock::new(|| {
        let mut table = BTreeMap::new();
        for (name, row) in include_str!("../data/cpu_tdp.csv").lines().skip(1).filter_map(parse) {
            table.entry(name).and_modify(|known: &mut Row| *known = known.joined(row)).or_insert(row);
        }
        table
    });
    &TABLE
}

/// Name, watts, cores, source, licence; read from the right, since some names hold commas. No processor draws nothing.
fn parse(line: &str) -> Option<(String, Row)> {
    let mut fields = line.rsplitn(5, ',').skip(2);
    let cores: Option<f64> = fields.next()?.parse().ok();
    let watts = fields.next()?.parse().ok().filter(|watts| *watts > 0.0)?;
    let name = normalised(fields.next()?.trim_matches('"'));
    Some((name, Row { watts, weak: cores.is_some(), cores }))
}

impl Row {
    /// Two rows of one name.
    fn joined(self, other: Self) -> Self {
        let better = if self.weak && !other.weak { other } else { self };
        Self { cores: self.cores.or(other.cores), ..better }
    }
}

/// Lower case; without trade marks, clock rates, graphics, generations and the words that makers add.
fn normalised(name: &str) -> String {
    let name = name.to_lowercase().replace("(r)", " ").replace("(tm)", " ").replace('\u{a0}', " ");
    let name = name.split('@').next().unwrap_or_default();
    let name = name.split(" with ").next().unwrap_or_default();
    let dull = |word: &&str| {
        let is_dull = matches!(*word, "cpu" | "processor" | "intel" | "amd" | "gen" | "0");
        let is_generation =
            word.strip_suffix("th").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        !is_dull && !is_generation && !word.ends_with("-core")
    };
    // "i7-860" and "i7 CPU 860" are one.
    let words = name.split_whitespace().filter(dull).flat_map(|word| word.split('-'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as `/proc/cpuinfo` gives them, logical CPUs if bare metal, and watts per CPU.
    #[test]
    fn known_processors_are_found_by_their_full_name() {
        for (name, siblings, watts) in [
            ("AMD EPYC 7552 48-Core Processor", Some(96), 200.0 / 96.0),
            ("AMD EPYC 7763 64-Core Processor", None, 280.0 / 64.0),
            ("AMD 7552", None, 200.0 / 48.0),
            ("Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", Some(40), 150.0 / 40.0),
            ("Intel(R) Xeon(R) Platinum 8480+", Some(112), 350.0 / 112.0),
            ("Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz", Some(24), 135.0 / 24.0),
            ("Intel(R) Xeon(R) CPU E5-2690 0 @ 2.90GHz", Some(16), 135.0 / 16.0),
            ("AMD Ryzen 9 3900X 12-Core Processor", Some(24), 105.0 / 24.0),
            ("Intel(R) Core(TM) i7 CPU         860  @ 2.80GHz", Some(8), 95.0 / 8.0),
            ("11th Gen Intel(R) Core(TM) i5-1145G7 @ 2.60GHz", None, 28.0 / 4.0),
        ] {
            let power = core_power(name, siblings);
            assert_eq!(power.provenance, Provenance::Modelled, "{name}");
            assert!((power.watts.get() - watts).abs() < 1e-9, "{name}: {power:?} should be {watts} W");
        }
    }

    #[test]
    fn unknown_processors_are_estimated_and_say_so() {
        for name in [
            "AMD EPYC",
            "",
            "Imaginary 9000X",
            "Intel Xeon Processor (Skylake, IBRS)",
            "Intel(R) Xeon(R) CPU @ 2.20GHz",
            "Intel(R) Xeon(R) CPU E5-2690 v9 @ 2.60GHz", // v3 and others are in the table.
            "Opteron 7552 X3",
        ] {
            let power = core_power(name, Some(4));
            assert_eq!(power.provenance, Provenance::Estimated, "{name}: {power:?}");
            assert!(
                (power.watts.get() - 65.0 / 6.0).abs() < 1e-9,
                "the median row has 65 W and 6 cores: {power:?}"
            );
            assert!(power.how.contains("median"));
        }
    }

    #[test]
    fn the_whole_table_is_read() {
        let rows = include_str!("../data/cpu_tdp.csv").lines().skip(1);
        let unread: Vec<&str> = rows.filter(|line| parse(line).is_none()).collect();
        assert_eq!(unread.len(), 1, "one row states 0 W: {unread:?}");
        assert!(table().len() > 4600, "{}", table().len());
        assert!(table().values().all(|row| row.watts > 0.0 && row.watts < 1000.0));
    }
}
