//! A table of learning curves that were trained once: the truth that a search is replayed against.

use gramwise_model::hyperparameter::{Hyperparameter, value};
use gramwise_model::{Config, Space, Value};
use serde::Deserialize;

/// Watts of a table that states neither energy nor power.
const DEFAULT_POWER_W: f64 = 300.0;
/// Grams per kWh that all tables are charged at.
pub const INTENSITY_G_PER_KWH: f64 = 400.0;

/// One task: configurations and their curves, and the scale that results are told on.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub task: String,
    /// What is searched.
    pub space: Space,
    /// As the table states it.
    pub hyperparameters: Vec<Hyperparameter>,
    /// The last epoch of a whole training.
    pub max_epoch: u64,
    /// Configurations.
    pub configs: Vec<Config>,
    /// Their curves, in the same order.
    pub curves: Vec<Curve>,
    /// The best error of all.
    pub best: f64,
    /// The median over configurations of their best error.
    pub reference: f64,
    /// One FTE: the median grams of a full training.
    pub fte: f64,
    /// Configurations as points, for finding the nearest.
    points: Vec<Vec<f64>>,
    pub(crate) objectives: Vec<[f64; 2]>,
    /// The hypervolume of all configurations.
    pub(crate) whole_volume: f64,
}

/// One configuration's training, by epoch from the first.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    /// Validation errors.
    pub errors: Vec<f64>,
    /// Seconds so far.
    pub seconds: Vec<f64>,
    /// Grams so far.
    pub grams: Vec<f64>,
}

#[derive(Deserialize)]
struct Meta {
    task: String,
    max_epoch: u64,
    #[serde(default)]
    power_w: Option<f64>,
    hyperparameters: Vec<Hyperparameter>,
}

impl Table {
    /// From the text of `space.json`, `configs.csv` and `curves.csv`. `Err` names file, line and fault.
    pub fn parse(space: &str, configs: &str, curves: &str) -> Result<Self, String> {
        let meta: Meta = serde_json::from_str(space).map_err(|error| format!("space.json: {error}"))?;
        let search_space = Space::from_hyperparameters(&meta.hyperparameters)
            .map_err(|what| format!("space.json: {what}"))?;
        let by_id = parse_curves(curves, meta.power_w.unwrap_or(DEFAULT_POWER_W))?;
        let mut table = Self {
            task: meta.task,
            space: search_space,
            max_epoch: meta.max_epoch.max(1),
            configs: Vec::new(),
            curves: Vec::new(),
            best: f64::INFINITY,
            reference: 0.0,
            fte: 0.0,
            points: Vec::new(),
            objectives: Vec::new(),
            whole_volume: 0.0,
            hyperparameters: meta.hyperparameters,
        };
        for (id, config) in parse_configs(configs, &table.hyperparameters)? {
            if let Some(curve) = by_id.get(&id) {
                table.points.push(table.point(&config));
                table.configs.push(config);
                table.curves.push(curve.clone());
            }
        }
        if table.curves.is_empty() {
            return Err("configs.csv and curves.csv have no configuration in common".to_owned());
        }
        table.scale();
        Ok(table)
    }

    fn scale(&mut self) {
        let bests: Vec<f64> = self
            .curves
            .iter()
            .map(|curve| curve.errors.iter().copied().fold(f64::INFINITY, f64::min))
            .collect();
        let fulls: Vec<f64> = self.curves.iter().map(|curve| curve.grams[curve.grams.len() - 1]).collect();
        let finals: Vec<f64> = self.curves.iter().map(|curve| curve.errors[curve.errors.len() - 1]).collect();
        self.best = bests.iter().copied().fold(f64::INFINITY, f64::min);
        self.reference = median(&bests);
        self.fte = median(&fulls);
        let worst = finals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let high = if self.reference > self.best + 1e-12 { self.reference } else { worst };
        let (low_g, high_g) = (
            fulls.iter().copied().fold(f64::INFINITY, f64::min).ln(),
            fulls.iter().copied().fold(f64::NEG_INFINITY, f64::max).ln(),
        );
        let share = |value: f64, low: f64, high: f64, least: f64| {
            if high - low > least { (value - low) / (high - low) } else { 0.0 }
        };
        self.objectives = finals
            .iter()
            .zip(&fulls)
            .map(|(error, grams)| {
                [share(*error, self.best, high, 1e-12), share(grams.ln(), low_g, high_g, 1e-9)]
            })
            .collect();
        self.whole_volume = volume(&self.objectives);
    }

    /// The error as a share of the way from the best to the median configuration.
    pub fn normalised_regret(&self, error: f64) -> f64 {
        (error - self.best) / (self.reference - self.best).max(1e-12)
    }

    /// The unused row nearest to a configuration.
    pub(crate) fn nearest(&self, config: &Config, used: &[bool]) -> Option<usize> {
        let point = self.point(config);
        let distance = |other: &[f64]| point.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let unused = (0..self.points.len()).filter(|row| !used[*row]);
        unused
            .map(|row| (distance(&self.points[row]), row))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, row)| row)
    }

    /// Numbers on the unit interval, 0.5 where inactive; one indicator a category.
    fn point(&self, config: &Config) -> Vec<f64> {
        let mut point = Vec::new();
        for one in &self.hyperparameters {
            let found = config.get(&one.name);
            let choices = one.choices.as_deref().unwrap_or_default();
            if one.kind == "categorical" {
                let same = |choice: &serde_json::Value| {
                    value(choice).is_ok_and(|choice| {
                        found.is_some_and(|found| found.to_string() == choice.to_string())
                    })
                };
                point.extend(choices.iter().map(|choice| f64::from(u8::from(same(choice)))));
                continue;
            }
            let ends =
                choices.first().zip(choices.last()).and_then(|(a, b)| Some((a.as_f64()?, b.as_f64()?)));
            let (low, high) = ends.unwrap_or((one.lower.unwrap_or(0.0), one.upper.unwrap_or(1.0)));
            point.push(match found.and_then(Value::number) {
                None => 0.5,
                Some(number) if one.log => (number / low).ln() / (high / low).ln(),
                Some(number) => (number - low) / (high - low),
            });
        }
        point
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n % 2 == 1 { sorted[n / 2] } else { 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]) }
}

/// The area dominated inside the unit square; errors below 1 count, grams up to 1.
pub(crate) fn volume(points: &[[f64; 2]]) -> f64 {
    let mut inside: Vec<[f64; 2]> = points.iter().copied().filter(|[a, b]| *a < 1.0 && *b <= 1.0).collect();
    inside.sort_by(|x, y| x[0].total_cmp(&y[0]).then(x[1].total_cmp(&y[1])));
    let (mut area, mut ceiling) = (0.0, 1.0);
    for [a, b] in inside {
        if b < ceiling {
            area += (1.0 - a.max(0.0)) * (ceiling - b);
            ceiling = b;
        }
    }
    area
}

fn parse_configs(text: &str, hyperparameters: &[Hyperparameter]) -> Result<Vec<(u64, Config)>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| format!("configs.csv: {error}"))?.clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|found| found == name)
            .ok_or_else(|| format!("configs.csv: no column `{name}`"))
    };
    let id_column = column("config_id")?;
    let columns: Vec<usize> =
        hyperparameters.iter().map(|one| column(&one.name)).collect::<Result<_, _>>()?;
    let mut configs = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let line = at + 2;
        let record = record.map_err(|error| format!("configs.csv: {error}"))?;
        let number = |text: &str| -> Result<f64, String> {
            text.parse().map_err(|_| format!("configs.csv line {line}: `{text}` is no number"))
        };
        let mut config = Config::new();
        for (one, column) in hyperparameters.iter().zip(&columns) {
            let cell = &record[*column];
            if cell.is_empty() || cell == "nan" {
                continue;
            }
            let value = match one.kind.as_str() {
                "categorical" => category(one, cell),
                "float" => Value::Float(number(cell)?),
                #[expect(clippy::cast_possible_truncation, reason = "tables hold small whole numbers")]
                _ => Value::Int(number(cell)? as i64),
            };
            config.insert(one.name.clone(), value);
        }
        configs.push((id(number(&record[id_column])?), config));
    }
    Ok(configs)
}

/// A category as its choice states it: `1` the number, where the choices are numbers.
fn category(one: &Hyperparameter, cell: &str) -> Value {
    let choices = one.choices.iter().flatten().filter_map(|choice| value(choice).ok());
    choices
        .into_iter()
        .find(|choice| choice.to_string() == cell)
        .unwrap_or_else(|| Value::Text(cell.to_owned()))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are small whole numbers")]
fn id(number: f64) -> u64 {
    number as u64
}

fn parse_curves(text: &str, power_w: f64) -> Result<std::collections::BTreeMap<u64, Curve>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| format!("curves.csv: {error}"))?.clone();
    let find = |name: &str| header.iter().position(|found| found == name);
    let need = |name: &str| find(name).ok_or_else(|| format!("curves.csv: no column `{name}`"));
    let (id_column, error_column, seconds_column) =
        (need("config_id")?, need("val_error")?, need("seconds")?);
    let energy_column = find("energy_j");
    let mut curves = std::collections::BTreeMap::<u64, Curve>::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| format!("curves.csv: {error}"))? {
        let line = record.position().map_or(0, csv::Position::line);
        let number = |column: usize| -> Result<f64, String> {
            let text = &record[column];
            text.parse().map_err(|_| format!("curves.csv line {line}: `{text}` is no number"))
        };
        let curve = curves.entry(id(number(id_column)?)).or_default();
        let seconds = number(seconds_column)?;
        let joules = energy_column.map_or(Ok(seconds * power_w), number)?;
        curve.errors.push(number(error_column)?);
        curve.seconds.push(seconds);
        curve.grams.push(joules / 3.6e6 * INTENSITY_G_PER_KWH);
    }
    Ok(curves)
}
