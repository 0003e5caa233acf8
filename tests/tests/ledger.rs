//! Every microjoule is in exactly one account, whoever asks, whenever.

use std::os::unix::fs::PermissionsExt;

use e2e::Place;
use serde_json::Value;

use crate::sweeps::{Sweep, assert_balanced};

/// The sums that a report states about itself.
#[track_caller]
fn assert_adds_up(report: &Value) {
    let whole = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("not whole: {value} in {report:#}"));
    let accounts = report["accounts"].as_object().expect("accounts are an object");
    let mut names: Vec<&str> = accounts.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["idle", "lost", "overhead", "trial"]);
    let booked: u64 = accounts.values().map(|account| whole(&account["energy_uj"])).sum();
    assert_eq!(booked, whole(&report["energy_uj"]), "accounts and total of {report:#}");
    let hosts = report["hosts"].as_array().expect("hosts are a list");
    let metered: u64 = hosts.iter().map(|host| whole(&host["energy_uj"])).sum();
    let others: u64 = hosts.iter().map(|host| whole(&host["other_tenants_uj"])).sum();
    assert_eq!(others, whole(&report["other_tenants"]["energy_uj"]), "others of {report:#}");
    assert_eq!(booked, metered - others, "accounts, and hosts less others, of {report:#}");
    let grams: f64 = accounts.values().map(|account| account["co2e_g"].as_f64().unwrap()).sum();
    let total = report["co2e_g"].as_f64().unwrap();
    assert!((grams - total).abs() <= 1e-9 * total.abs(), "{grams} g in accounts, {total} g in all");
}

fn swept() -> Place {
    let place = Place::new();
    Sweep { lr: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6], ..Sweep::default() }.told("--ms 30").write(&place);
    place.run_sweep(&["--slots", "2"]).expect(0);
    place
}

#[test]
fn the_accounts_sum_to_what_the_hosts_metered() {
    let place = swept();
    let report = place.json(&["report"]);
    assert_adds_up(&report);
    assert_balanced(&place);
    assert!(report["accounts"]["trial"]["energy_uj"].as_u64() > Some(0), "{report:#}");
    let sql = "SELECT sum(measured_uj + modelled_uj + estimated_uj) FROM ledger_entry";
    assert_eq!(report["energy_uj"].as_i64(), Some(place.number(sql)));
    let sql = "SELECT account, energy_uj FROM balance";
    assert_eq!(
        place.rows(&sql.replace("account, ", "")).iter().map(|row| row[0]).sum::<i64>(),
        report["energy_uj"]
    );
}

#[test]
fn trials_sum_to_their_accounts() {
    let place = swept();
    let (report, trials) = (place.json(&["report"]), place.json(&["trials"]));
    let trials = trials.as_array().expect("trials are a list");
    let sum = |key: &str| trials.iter().map(|trial| trial[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(trials.len(), 6);
    assert_eq!(report["accounts"]["trial"]["energy_uj"], sum("energy_uj"));
    assert_eq!(report["accounts"]["lost"]["energy_uj"], sum("lost_energy_uj"));
    for trial in trials {
        let sql = format!(
            "SELECT sum(measured_uj + modelled_uj + estimated_uj) FROM ledger_entry WHERE trial = {}",
            trial["trial"]
        );
        assert_eq!(trial["energy_uj"], place.number(&sql), "{trial:#}");
        assert!(trial["energy_uj"].as_u64() > Some(0), "{trial:#}");
    }
}

#[test]
fn csv_has_a_line_for_each_trial() {
    let place = swept();
    let csv = place.gramwise(&["trials", "-o", "csv"]).expect(0).stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 6, "{csv}");
    let columns: Vec<&str> = lines[0].split(',').collect();
    for wanted in ["trial", "state", "config.lr", "metrics.val_error", "energy_uj", "co2e_g"] {
        assert!(columns.contains(&wanted), "{wanted} is no column of {}", lines[0]);
    }
    let at = |line: &str, name: &str| -> String {
        let column = columns.iter().position(|column| *column == name).unwrap();
        line.split(',').nth(column).unwrap().to_owned()
    };
    let sum: u64 = lines[1..].iter().map(|line| at(line, "energy_uj").parse::<u64>().unwrap()).sum();
    assert_eq!(place.json(&["report"])["accounts"]["trial"]["energy_uj"], sum);
}

#[test]
fn history_is_the_sum_of_all_reports() {
    let place = swept();
    Sweep { name: "other", ..Sweep::default() }.told("--ms 30").write(&place);
    place.run_sweep(&[]).expect(0);
    let reports = [place.json(&["report", "1"]), place.json(&["report", "2"])];
    reports.iter().for_each(assert_adds_up);
    let history = place.json(&["history", "--group-by", "name"]);
    let energy: u64 = reports.iter().map(|report| report["energy_uj"].as_u64().unwrap()).sum();
    assert_eq!(history["total"]["energy_uj"], energy);
    assert_eq!(history["total"]["sweeps"], 2);
    assert_eq!(history["total"]["trials"], 9);
    let groups = history["groups"].as_array().expect("groups are a list");
    let of = |name: &str| groups.iter().find(|group| group["name"] == name).expect("a group for each name");
    assert_eq!(of("tiny")["energy_uj"], reports[0]["energy_uj"]);
    assert_eq!(of("other")["co2e_g"], reports[1]["co2e_g"]);
}

#[test]
fn questions_are_answered_while_a_sweep_writes() {
    let place = Place::new();
    let lr = (1..=12).map(|index| f64::from(index) / 100.0).collect();
    Sweep { lr, ..Sweep::default() }.told("--ms 40").write(&place);
    let mut running = place.start_sweep(&["--slots", "2"]);
    let (mut while_running, mut growing) = (0, Vec::new());
    while !running.is_over() {
        // Before the first sweep is in it, there is nothing to ask of the database.
        if place.database().exists() && place.gramwise(&["ls", "-o", "value"]).stdout == "1\n" {
            let report = place.json(&["report"]);
            assert_adds_up(&report);
            growing.push(report["energy_uj"].as_u64().unwrap());
            place.json(&["trials"]);
            while_running += i32::from(report["state"] == "running");
        }
    }
    running.wait().expect(0);
    assert!(while_running >= 3, "{while_running} reports while it ran");
    assert!(growing.is_sorted(), "totals never fall: {growing:?}");
    assert_eq!(place.json(&["report"])["trials"]["completed"], 12);
}

#[test]
fn a_read_only_database_answers_too() {
    let place = swept();
    let expected = place.gramwise(&["report", "-o", "json"]).expect(0).stdout;
    let folder = place.path("archive");
    let copy = folder.join("sweeps.db");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(place.database(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o444)).unwrap();
    for question in ["report", "trials", "front", "best", "status", "history", "ls"] {
        let mut command = place.program(e2e::gramwise());
        let done = e2e::run(command.args([question, "-o", "json", "--db"]).arg(&copy)).expect(0);
        if question == "report" {
            assert_eq!(done.stdout, expected);
        }
    }
}
