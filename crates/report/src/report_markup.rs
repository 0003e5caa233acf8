//! The report as Markdown or LaTeX: what it cost, the front, and the statement to cite.

use gramwise_carbon::{GramsCo2e, Microjoules};
use gramwise_model::rows::{Account, SweepRecord};

use crate::sheet::{Markup, Sheet, latex, markdown};
use crate::statements::{Statement, statement};
use crate::units::{energy, grams, share};
use crate::{Align, Report, trials};

/// The report for a paper or for notes. `report` must be the answer for `record`; `version` names the program.
pub fn report_marked_up(report: &Report, record: &SweepRecord, markup: Markup, version: &str) -> String {
    let heading = |text: &str| match markup {
        Markup::Markdown => format!("## {}\n\n", markdown(text)),
        Markup::Latex => format!("\\paragraph{{{}}}\n\n", latex(text)),
    };
    let said = statement(record, Statement::Paper, version);
    let said = match markup {
        Markup::Markdown => markdown(said.trim_end()),
        Markup::Latex => latex(said.trim_end()),
    };
    let front = trials::sheet(record, &crate::pareto::front(record));
    [
        heading(&format!("What the search {} cost", report.name)),
        accounts(report).marked_up(markup),
        "\n".to_owned(),
        heading("What it found"),
        front.marked_up(markup),
        format!("\n{said}\n"),
    ]
    .concat()
}

fn accounts(report: &Report) -> Sheet {
    let row = |name: &str, energy_uj: u64, co2e_g: f64| {
        let share = share(co2e_g, report.co2e_g);
        vec![name.to_owned(), energy(Microjoules::new(energy_uj)), grams(GramsCo2e::new(co2e_g)), share]
    };
    let mut rows: Vec<Vec<String>> = Account::ALL
        .iter()
        .map(|account| {
            let balance = report.accounts.get(*account);
            row(account.name(), balance.energy_uj, balance.co2e_g)
        })
        .collect();
    rows.push(row("total", report.energy_uj, report.co2e_g));
    let alignment = [Align::Left, Align::Right, Align::Right, Align::Right];
    Sheet::new(&["account", "energy", "CO2e", "share"], rows, &alignment)
}
