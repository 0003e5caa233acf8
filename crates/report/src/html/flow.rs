//! Where the grams went, as a flow (a Sankey diagram).

use std::collections::BTreeMap;
use std::fmt::Write;

use gramwise_carbon::GramsCo2e;
use gramwise_model::rows::SweepRecord;

use super::chart::{escaped, open};
use super::plots::Figure;
use crate::Report;
use crate::units::{grams, share};
use crate::words;

const TALL: f64 = 300.0;
/// Between two nodes of a column.
const GAP: f64 = 10.0;
/// A node's name and share need so much height.
const LABEL: f64 = 24.0;
/// Where the columns stand: what burnt it, who was charged, what became of the trials.
const COLUMNS: [f64; 3] = [88.0, 250.0, 412.0];
const NODE: f64 = 9.0;

/// Grams from a node of one column to one of the next.
struct Flow {
    column: usize,
    from: String,
    to: String,
    co2e: f64,
    /// Nothing came of it.
    is_waste: bool,
}

/// One node: its name, its grams, and where it begins.
struct Node {
    name: String,
    co2e: f64,
    top: f64,
}

/// From what burnt the grams, over who was charged, to what became of the trials.
pub(super) fn flow(report: &Report, record: &SweepRecord) -> Option<Figure> {
    let flows = flows(record);
    if flows.is_empty() || report.co2e_g <= 0.0 {
        return None;
    }
    let mut columns = [0, 1, 2].map(|column| nodes(&flows, column));
    // As large as the fullest column allows, in which small nodes are as high as their names.
    let fits = |scale: f64| {
        let height =
            |nodes: &Vec<Node>| nodes.iter().map(|node| (node.co2e * scale).max(LABEL) + GAP).sum::<f64>();
        columns.iter().all(|nodes| height(nodes) <= TALL - 10.0)
    };
    let mut scale = TALL / report.co2e_g;
    while !fits(scale) && scale * report.co2e_g > 40.0 {
        scale *= 0.97;
    }
    for nodes in &mut columns {
        let mut top = 10.0;
        for node in nodes {
            node.top = top;
            top += (node.co2e * scale).max(LABEL) + GAP;
        }
    }
    let mut svg = open(TALL, "Where the grams went");
    bands(&mut svg, &flows, &columns, scale);
    for (column, nodes) in columns.iter().enumerate() {
        for node in nodes {
            labelled(&mut svg, column, node, scale, report.co2e_g);
        }
    }
    svg.push_str("</svg>");
    Some(Figure {
        title: "Where the grams went".to_owned(),
        why: "from what burnt them, over who was charged, to what became of the trials".to_owned(),
        svg,
        key: Vec::new(),
    })
}

fn flows(record: &SweepRecord) -> Vec<Flow> {
    let mut flows = Vec::new();
    for row in &record.accounts {
        let (energy, co2e) = (&row.footprint.energy, row.footprint.co2e.grams().get());
        let whole = energy.total().get() as f64;
        let parts = [
            ("GPU", energy.gpu),
            ("CPU", energy.cpu),
            ("memory", energy.memory),
            ("rest of the node", energy.rest),
        ];
        for (name, amount) in parts {
            let part = amount.total().get() as f64;
            if part > 0.0 {
                let to = row.account.name();
                flows.push(Flow {
                    column: 0,
                    from: name.to_owned(),
                    to: to.to_owned(),
                    co2e: co2e * part / whole,
                    is_waste: to != "trial",
                });
            }
        }
    }
    let mut fates: BTreeMap<&str, f64> = BTreeMap::new();
    for trial in &record.trials {
        *fates.entry(words::trial_state(trial.state)).or_default() += trial.booked.co2e.grams().get();
    }
    let fates = fates.into_iter().filter(|(_, co2e)| *co2e > 0.0);
    flows.extend(fates.map(|(fate, co2e)| Flow {
        column: 1,
        from: "trial".to_owned(),
        to: fate.to_owned(),
        co2e,
        is_waste: fate != "completed",
    }));
    flows
}

/// The nodes of a column, by what flows out of them, or into them in the last.
fn nodes(flows: &[Flow], column: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    // Who was charged is known by what burnt it: not all goes on to trials.
    let of = |flow: &Flow| match column {
        0 if flow.column == 0 => Some(flow.from.clone()),
        1 if flow.column == 0 => Some(flow.to.clone()),
        2 if flow.column == 1 => Some(flow.to.clone()),
        _ => None,
    };
    for (name, co2e) in flows.iter().filter_map(|flow| Some((of(flow)?, flow.co2e))) {
        match nodes.iter_mut().find(|node| node.name == name) {
            Some(node) => node.co2e += co2e,
            None => nodes.push(Node { name, co2e, top: 0.0 }),
        }
    }
    nodes
}

fn bands(svg: &mut String, flows: &[Flow], columns: &[Vec<Node>; 3], scale: f64) {
    let top = |column: usize, name: &str| {
        columns.get(column)?.iter().find(|node| node.name == name).map(|node| node.top)
    };
    // How much of each node is taken up already, on its right and on its left.
    let mut out: BTreeMap<(usize, &str), f64> = BTreeMap::new();
    let mut into: BTreeMap<(usize, &str), f64> = BTreeMap::new();
    for Flow { column, from, to, co2e, is_waste } in flows {
        let (Some(a), Some(b)) = (top(*column, from), top(column + 1, to)) else { continue };
        let height = co2e * scale;
        let place = |taken: &mut f64, top: f64| {
            let at = top + *taken;
            *taken += height;
            at
        };
        let a = place(out.entry((*column, from)).or_default(), a);
        let b = place(into.entry((column + 1, to)).or_default(), b);
        let (start, end) = (COLUMNS[*column] + NODE, COLUMNS[column + 1]);
        let middle = f64::midpoint(start, end);
        let class = if *is_waste { "flow waste" } else { "flow" };
        let _ = write!(
            svg,
            "<path class=\"{class}\" d=\"M{start} {a:.2}C{middle} {a:.2} {middle} {b:.2} {end} {b:.2}V{lower_b:.2}\
             C{middle} {lower_b:.2} {middle} {lower_a:.2} {start} {lower_a:.2}Z\"><title>{} to {}: {}</title></path>",
            escaped(from),
            escaped(to),
            grams(GramsCo2e::new(*co2e)),
            lower_a = a + height,
            lower_b = b + height
        );
    }
}

fn labelled(svg: &mut String, column: usize, node: &Node, scale: f64, whole: f64) {
    let (x, height) = (COLUMNS[column], (node.co2e * scale).max(1.0));
    let (anchor, at) = if column == 2 { ("start", x + NODE + 5.0) } else { ("end", x - 5.0) };
    let _ = write!(
        svg,
        "<rect class=\"node\" x=\"{x}\" y=\"{:.1}\" width=\"{NODE}\" height=\"{height:.1}\"/>\
         <text class=\"note\" x=\"{at}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}\
         <tspan class=\"tick\" x=\"{at}\" dy=\"12\">{}</tspan></text>",
        node.top,
        node.top + (height / 2.0 - 2.0).max(9.0),
        escaped(&node.name),
        share(node.co2e, whole)
    );
}
