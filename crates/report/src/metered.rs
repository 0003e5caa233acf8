//! What one command burnt, metered by itself without a sweep.

use std::time::Duration;

use gramwise_carbon::{CarbonFactors, Energy, GramsCo2e, Interval, Spread};
use serde::Serialize;

use crate::accounts::{ByComponent, ByProvenance};
use crate::output::Screen;
use crate::text::{burnt, components, pue, quality};
use crate::units::{duration, energy};
use crate::{Format, Grid, Terminal, csv, grid, json};

/// A command that was metered.
#[derive(Debug, Clone, Copy)]
pub struct MeteredCommand<'a> {
    /// Program and arguments, for people.
    pub command: &'a str,
    /// Its exit code, or 128 and the signal that ended it.
    pub code: u8,
    /// How long it ran.
    pub took: Duration,
    /// What it burnt.
    pub energy: Energy,
    /// What the host burnt meanwhile that nobody used,
    pub idle: Energy,
    /// what gramwise burnt,
    pub overhead: Energy,
    /// and what other users of the host burnt, where a counter of the whole host shows it.
    pub other: Energy,
    /// How energy becomes grams.
    pub factors: &'a CarbonFactors,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    command: &'a str,
    exit_code: u8,
    took_s: f64,
    energy_uj: u64,
    energy_j: f64,
    energy_by_provenance: ByProvenance,
    energy_by_component: ByComponent,
    co2e_g: f64,
    co2e_low_g: f64,
    co2e_high_g: f64,
    quality: gramwise_carbon::Quality,
    /// Not in the figures above.
    host: Meanwhile,
    grid: Grid,
    pue: f64,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the unit, in joules")]
struct Meanwhile {
    idle_j: f64,
    overhead_j: f64,
    other_j: f64,
}

/// Answers what a command burnt; [`Format::Value`] is its grams.
pub fn metered(metered: &MeteredCommand<'_>, format: Format, terminal: Terminal) -> String {
    let co2e = metered.factors.co2e(metered.energy.joules()).grams();
    let bounds = Interval::around(co2e.get(), Spread::of(&metered.energy, metered.factors));
    match format {
        Format::Table => as_text(metered, co2e, bounds, terminal),
        Format::Json => json::document(&Document {
            schema: json::SCHEMA,
            command: metered.command,
            exit_code: metered.code,
            took_s: metered.took.as_secs_f64(),
            energy_uj: metered.energy.total().get(),
            energy_j: metered.energy.joules().get(),
            energy_by_provenance: ByProvenance::of(&metered.energy),
            energy_by_component: ByComponent::of(&metered.energy),
            co2e_g: co2e.get(),
            co2e_low_g: bounds.low,
            co2e_high_g: bounds.high,
            quality: metered.energy.quality(),
            host: Meanwhile {
                idle_j: metered.idle.joules().get(),
                overhead_j: metered.overhead.joules().get(),
                other_j: metered.other.joules().get(),
            },
            grid: Grid::of(metered.factors),
            pue: metered.factors.pue.get(),
        }),
        Format::Csv => csv(
            &["command", "exit_code", "took_s", "energy_j", "co2e_g", "co2e_low_g", "co2e_high_g", "quality"],
            &[vec![
                metered.command.to_owned(),
                metered.code.to_string(),
                metered.took.as_secs_f64().to_string(),
                metered.energy.joules().get().to_string(),
                co2e.get().to_string(),
                bounds.low.to_string(),
                bounds.high.to_string(),
                metered.energy.quality().to_string(),
            ]],
        ),
        Format::Value => format!("{}\n", co2e.get()),
    }
}

fn as_text(metered: &MeteredCommand<'_>, co2e: GramsCo2e, bounds: Interval, terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal, 9);
    screen.title(&format!(
        "{}: exit code {} after {}",
        metered.command,
        metered.code,
        duration(metered.took)
    ));
    if metered.energy.is_zero() {
        screen.say(
            "energy",
            "less than the meter can tell: it took under 10 ms of processor time, and no GPU drew anything",
        );
    } else {
        burnt(&mut screen, metered.energy.total(), co2e.get(), bounds);
        components(&mut screen, ByComponent::of(&metered.energy));
        quality(&mut screen, metered.energy.quality(), ByProvenance::of(&metered.energy));
    }
    let meanwhile =
        [("idle", metered.idle), ("gramwise itself", metered.overhead), ("other users", metered.other)];
    let meanwhile: Vec<String> = meanwhile
        .iter()
        .filter(|(_, burnt)| !burnt.is_zero())
        .map(|(who, burnt)| format!("{who} {}", energy(burnt.total())))
        .collect();
    if !meanwhile.is_empty() {
        screen.say("host", &format!("meanwhile, and not in these figures: {}", meanwhile.join(", ")));
    }
    grid::say(&mut screen, &[Grid::of(metered.factors)], "--zone FR");
    pue(&mut screen, metered.factors.pue.get(), metered.factors.pue_stated);
    screen.finish()
}
