//! A plot as SVG: a frame with two axes, and marks in it. Text in it scales with the page, so charts are as wide as a phone.

use std::fmt::Write;

use crate::units::{mass_unit, number};

/// The size of a chart in its own units; text is eleven of them high.
pub(super) const WIDTH: f64 = 520.0;
pub(super) const HEIGHT: f64 = 300.0;

/// Between the chart's edges and its frame: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (58.0, 16.0, 14.0, 42.0);
/// The least distance of two labels.
const APART: f64 = 46.0;

/// Text that is safe in HTML and SVG.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// From values to places along one direction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    title: String,
    low: f64,
    high: f64,
    /// Powers of ten at equal distances.
    is_log: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// Over values; in powers of ten where the largest is more than so many times the least, and none is below zero.
    fn over(title: &str, values: impl Iterator<Item = f64>, (from, to): (f64, f64), span: f64) -> Self {
        // Beyond this, differences overflow: such values stand at the edge.
        let finite = values.filter(|value| value.abs() < 1e150);
        let (low, high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let is_log = low > 0.0 && high / low > span;
        let mut axis = Self { title: title.to_owned(), low, high, is_log, from, to };
        if is_log {
            axis.low = low / 1.1;
            axis.high = high * 1.1;
        } else {
            // Room at both ends; a single value sits in the middle.
            let room = if high > low {
                0.04 * (high - low)
            } else if high == 0.0 {
                1.0
            } else {
                high.abs() * 0.5
            };
            axis.low = if low >= 0.0 && low < 0.35 * high { 0.0 } else { low - room };
            axis.high = high + room;
        }
        axis
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(-0.05, 1.05) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let room = ((self.to - self.from).abs() / APART).max(2.0);
        if self.is_log {
            let (first, last) = (self.low.log10().ceil(), self.high.log10().floor());
            if last - first < 2.0 {
                // Few powers of ten: what is between them, too.
                let within = |tick: &f64| (self.low..=self.high).contains(tick);
                let power = |exponent: f64| [1.0, 2.0, 5.0].map(|of| of * 10f64.powf(exponent));
                let exponents = (0..5u8).map(|index| first - 1.0 + f64::from(index));
                return exponents.flat_map(power).filter(within).collect();
            }
            let every = ((last - first) / room).ceil().max(1.0);
            let count = ((last - first) / every).floor().max(0.0);
            return (0..=20u8)
                .map(f64::from)
                .take_while(|index| *index <= count)
                .map(|index| 10f64.powf(first + index * every))
                .collect();
        }
        let rough = (self.high - self.low) / room.min(6.0);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|of| of * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..=20u8)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|tick| *tick <= self.high + step * 1e-9)
            // A sum of steps that should be zero is nearly zero.
            .map(|tick| if tick.abs() < step * 1e-9 { 0.0 } else { tick })
            .collect()
    }
}

/// A chart that is being drawn.
pub(super) struct Chart {
    pub(super) x: Axis,
    pub(super) y: Axis,
    marks: String,
}

impl Chart {
    /// With axes over what is to be drawn in it.
    pub(super) fn over(
        (x_title, x): (&str, impl Iterator<Item = f64>),
        (y_title, y): (&str, impl Iterator<Item = f64>),
    ) -> Self {
        let (left, right, top, bottom) = MARGIN;
        Self {
            x: Axis::over(x_title, x, (left, WIDTH - right), 300.0),
            y: Axis::over(y_title, y, (HEIGHT - bottom, top), 12.0),
            marks: String::new(),
        }
    }

    /// A second scale on the right, over values.
    pub(super) fn right(&mut self, title: &str, values: impl Iterator<Item = f64>) -> Axis {
        let (_, _, top, bottom) = MARGIN;
        self.x.to = WIDTH - MARGIN.0;
        let axis = Axis::over(title, values, (HEIGHT - bottom, top), f64::INFINITY);
        let x = self.x.to;
        for tick in axis.ticks() {
            let y = axis.at(tick);
            self.text((x + 6.0, y + 4.0), "tick", "start", &number(tick));
        }
        let _ = write!(
            self.marks,
            "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate({:.1} {:.1}) rotate(90)\">{}</text>",
            WIDTH - 12.0,
            HEIGHT / 2.0 - 14.0,
            escaped(title)
        );
        axis
    }

    /// Raw SVG, above what was drawn before.
    pub(super) fn draw(&mut self, svg: &str) {
        self.marks.push_str(svg);
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = write!(
            self.marks,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// A dot that says what it is when it is pointed at.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), class: &str, radius: f64, says: &str) {
        let (x, y) = (self.x.at(x), self.y.at(y));
        let _ = write!(
            self.marks,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}</title></circle>",
            escaped(says)
        );
    }

    /// A cross, of what was ended.
    pub(super) fn cross(&mut self, (x, y): (f64, f64), class: &str, says: &str) {
        let (x, y) = (self.x.at(x), self.y.at(y));
        let _ = write!(
            self.marks,
            "<path class=\"{class}\" d=\"M{:.1} {:.1}l6 6m0 -6l-6 6\"><title>{}</title></path>",
            x - 3.0,
            y - 3.0,
            escaped(says)
        );
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, class: &str, says: &str) {
        let points: Vec<String> =
            points.map(|(x, y)| format!("{:.1},{:.1}", self.x.at(x), self.y.at(y))).collect();
        if points.len() > 1 {
            let _ = write!(
                self.marks,
                "<polyline class=\"{class}\" points=\"{}\"><title>{}</title></polyline>",
                points.join(" "),
                escaped(says)
            );
        }
    }

    /// A line from the bottom to the top, with a word at its upper end.
    pub(super) fn upright(&mut self, x: f64, row: f64, says: &str) {
        let (_, _, top, bottom) = MARGIN;
        let place = self.x.at(x);
        let _ = write!(
            self.marks,
            "<line class=\"mark\" x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{top}\" y2=\"{:.1}\"/>",
            HEIGHT - bottom
        );
        let is_left = place > WIDTH * 0.6;
        let (anchor, shift) = if is_left { ("end", -5.0) } else { ("start", 5.0) };
        self.text((place + shift, top + 11.0 + 14.0 * row), "note", anchor, says);
    }

    /// The figure.
    pub(super) fn finish(self, label: &str) -> String {
        let (left, _, top, bottom) = MARGIN;
        let (right, floor) = (self.x.to, HEIGHT - bottom);
        let mut svg = open(HEIGHT, label);
        for tick in self.y.ticks() {
            let y = self.y.at(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 4.0,
                number(tick)
            );
        }
        for tick in self.x.ticks() {
            let x = self.x.at(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{floor:.1}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                floor + 4.0,
                floor + 16.0,
                number(tick)
            );
        }
        let _ = write!(
            svg,
            "<path class=\"frame\" d=\"M{left} {top}V{floor:.1}H{right:.1}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"axis\" text-anchor=\"middle\" transform=\"translate(12 {:.1}) rotate(-90)\">{}</text>",
            f64::midpoint(left, right),
            HEIGHT - 8.0,
            escaped(&self.x.title),
            f64::midpoint(top, floor),
            escaped(&self.y.title)
        );
        svg.push_str(&self.marks);
        svg.push_str("</svg>");
        svg
    }
}

/// The beginning of an SVG that fills its column.
pub(super) fn open(height: f64, label: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">",
        escaped(label)
    )
}

/// The unit that grams up to this are shown in, and the factor from grams.
pub(super) fn in_unit(most: f64) -> (f64, String) {
    let (size, unit) = mass_unit(most);
    (1.0 / size, format!("{unit} CO2e"))
}
