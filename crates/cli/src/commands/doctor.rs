//! `gramwise doctor`: what is measured, modelled or missing here, and the exact fix.

use std::path::PathBuf;

use etcetera::BaseStrategy;
use gramwise_meter::{HostMeter, ProbeOptions, Status};
use gramwise_report::{Align, csv, table};

use crate::args::{Devices, Form};
use crate::exit::Exit;
use crate::output::{print, terminal};

/// Probes the devices as a worker would and prints what it found.
pub(super) fn doctor(devices: &Devices, form: Form) -> anyhow::Result<Exit> {
    let meter = HostMeter::probe(&options(devices))?;
    let findings = &[meter.findings(), &[gramwise_worker::cgroup_finding()]].concat();
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let fix = finding.fix.clone().unwrap_or_default();
            vec![finding.component.clone(), word(finding.status).to_owned(), finding.how.clone(), fix]
        })
        .collect();
    let text = match form {
        Form::Table => {
            let short: Vec<Vec<String>> = rows.iter().map(|row| row[..3].to_vec()).collect();
            let mut text = table(
                &["component", "status", "how"],
                short,
                &[Align::Left, Align::Left, Align::Left],
                terminal(),
            );
            for finding in findings {
                if let Some(fix) = &finding.fix {
                    text = format!("{text}\nhint: {}: {fix}\n", finding.component);
                }
            }
            text
        }
        Form::Csv => csv(&["component", "status", "how", "fix"], &rows),
        Form::Json => {
            let object = |row: &Vec<String>| {
                let fix = Some(&row[3]).filter(|fix| !fix.is_empty());
                serde_json::json!({"component": row[0], "status": row[1], "how": row[2], "fix": fix})
            };
            serde_json::to_string_pretty(&rows.iter().map(object).collect::<Vec<_>>())? + "\n"
        }
        Form::Value => rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>().join("\n") + "\n",
    };
    print(&text)?;
    Ok(Exit::Success)
}

/// Where the meter looks, from the command line.
pub(super) fn options(devices: &Devices) -> ProbeOptions {
    let usual = ProbeOptions::default();
    ProbeOptions {
        nvml_lib: devices.nvml_lib.clone(),
        no_gpu: devices.no_gpu,
        powercap: devices.powercap.clone().unwrap_or(usual.powercap),
        procfs: usual.procfs,
        hwmon: usual.hwmon,
        drm: usual.drm,
        dev: usual.dev,
        node: devices.node.clone(),
        profile: profile(devices),
        idle: devices.idle.into(),
    }
}

/// Where what `calibrate` learnt is.
pub(super) fn profile(devices: &Devices) -> Option<PathBuf> {
    let base = || etcetera::base_strategy::choose_base_strategy().ok();
    devices.host_profile.clone().or_else(|| Some(base()?.data_dir().join("gramwise").join("host.json")))
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Measured => "measured",
        Status::Modelled => "modelled",
        Status::Missing => "missing",
    }
}
