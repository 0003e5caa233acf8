//! Many replays in few numbers, and as a picture.

use std::fmt::Write;

use super::{Fates, MARKS, Outcome, Table};

/// The replays of one task, told together.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The task.
    pub task: String,
    /// Is the median configuration worse than the best? Normalised regret means nothing otherwise.
    pub has_scale: bool,
    /// How many replays.
    pub seeds: usize,
    /// Normalised regret at each mark: median, and the quarter and three quarters of the seeds.
    pub regret: [[f64; 3]; MARKS.len()],
    /// Share of the whole hypervolume at each mark: mean.
    pub volume: [f64; MARKS.len()],
    /// The share of outcomes that fell below their stated 5 % quantile; `None` where nothing was stated.
    pub below: Option<f64>,
    /// Trials that were found not to be worth their carbon.
    pub doomed: Fates,
}

impl Summary {
    /// Of the outcomes of one task, each with the statements held and those that failed. `None` of none.
    pub fn new(table: &Table, outcomes: &[(&Outcome, (u64, u64))]) -> Option<Self> {
        if outcomes.is_empty() {
            return None;
        }
        let at = |mark: usize| {
            let mut values: Vec<f64> = outcomes.iter().map(|(outcome, _)| outcome.regret[mark]).collect();
            values.sort_by(f64::total_cmp);
            [0.5, 0.25, 0.75].map(|share| quantile(&values, share))
        };
        let mean = |mark: usize| {
            outcomes.iter().map(|(outcome, _)| outcome.volume[mark]).sum::<f64>() / outcomes.len() as f64
        };
        let (held, below) =
            outcomes.iter().fold((0, 0), |sums, (_, (held, below))| (sums.0 + held, sums.1 + below));
        Some(Self {
            task: table.task.clone(),
            has_scale: table.reference > table.best + 1e-12,
            seeds: outcomes.len(),
            regret: std::array::from_fn(at),
            volume: std::array::from_fn(mean),
            below: (held > 0).then(|| below as f64 / held as f64),
            doomed: outcomes.iter().map(|(outcome, _)| outcome.doomed).sum(),
        })
    }
}

/// The quantile of sorted values, linear between them; infinite where a neighbour is.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the values")]
    let below = place as usize;
    let rest = place - below as f64;
    match sorted.get(below + 1) {
        Some(above) if rest > 0.0 => sorted[below] * (1.0 - rest) + above * rest,
        Some(_) | None => sorted[below],
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 50.0;

/// Median normalised regret by grams spent (in FTE, logarithmic), a line a task, as SVG.
pub fn plot(summaries: &[Summary]) -> String {
    let (first, last) = (MARKS[0], MARKS[MARKS.len() - 1]);
    let x = |fte: f64| LEFT + (fte / first).ln() / (last / first).ln() * (WIDTH - LEFT - RIGHT);
    let y = |regret: f64| TOP + (1.0 - regret.clamp(0.0, 1.0)) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"13\">median normalised regret by carbon spent</text>\n"
    );
    for mark in MARKS {
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1}\" stroke=\"#eee\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{mark}</text>",
            x(mark),
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 16.0
        );
    }
    for tenth in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{1}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#eee\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{tenth}</text>",
            y(tenth),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(tenth) + 4.0
        );
    }
    let scaled = summaries.iter().filter(|one| one.has_scale);
    for (index, summary) in scaled.enumerate() {
        let hue = 360.0 * index as f64 / summaries.len() as f64;
        let points: Vec<String> = MARKS
            .iter()
            .zip(&summary.regret)
            .filter(|(_, [median, _, _])| median.is_finite())
            .map(|(mark, [median, _, _])| format!("{:.1},{:.1}", x(*mark), y(*median)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{0}\" fill=\"none\" stroke=\"hsl({hue:.0},60%,42%)\" stroke-width=\"1.6\">\
             <title>{1}</title></polyline>\n<text x=\"{2}\" y=\"{3}\" text-anchor=\"end\" \
             fill=\"hsl({hue:.0},60%,42%)\">{1}</text>",
            points.join(" "),
            summary.task,
            WIDTH - RIGHT - 4.0,
            TOP + 14.0 * (index as f64 + 1.0)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">full trainings (FTE) of carbon</text>\n</svg>",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 12.0
    );
    svg
}
