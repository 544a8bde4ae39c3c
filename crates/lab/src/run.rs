//! An experiment on its rungs, and what is written of it: `report.json`, `table.csv`, `plots/*.svg`, `README.md`; `cells/` holds
//! what is finished, for a run that goes on.

use crate::experiment::Experiment;
use crate::lab::Event;
use crate::page;
use crate::questions::{QUESTIONS, Question};
use crate::report::Report;
use crate::rung::RungName;
use crate::{Effort, Lab, LabError};
use lapidary_files::{Kind, create_dir, publish};
use serde::Serialize;
use std::path::Path;

/// Version of `report.json`.
const FORMAT: u32 = 1;

/// The folder of an experiment.
pub const LAB: Kind = Kind {
    name: "lab",
    owns: &[
        "report.json",
        "table.csv",
        "README.md",
        "timing.json",
        "plots/*.svg",
        "cells/*.json",
        "cells/*/metrics.jsonl",
        "cells/*/checkpoints/step-*.safetensors",
    ],
    resumed_by: Some("cells"),
};

/// What came out.
#[derive(Serialize)]
pub struct Found {
    format: u32,
    /// The experiment's name.
    pub lab: &'static str,
    /// In the paper's words.
    pub question: &'static str,
    effort: Effort,
    seed: u64,
    /// In one sentence.
    pub answer: String,
    /// One per rung.
    pub reports: Vec<Report>,
}

/// The question of an experiment.
pub fn question(experiment: &Experiment) -> &'static Question {
    QUESTIONS.iter().find(|q| q.name == experiment.name).expect("a test holds that every experiment has one")
}

/// Runs `experiment` on `rungs`, and writes everything.
///
/// # Errors
/// A rung cannot be used, a file cannot be written, or the user wants to stop; finished cells are kept.
pub fn run(
    lab: &mut Lab<'_>,
    experiment: &'static Experiment,
    rungs: &[RungName],
) -> Result<Found, LabError> {
    let mut reports = Vec::new();
    for &rung in rungs {
        reports.push((experiment.run)(lab, rung)?);
    }
    let found = Found {
        format: FORMAT,
        lab: experiment.name,
        question: question(experiment).text,
        effort: lab.effort,
        seed: lab.seed,
        answer: (experiment.answer)(&reports),
        reports,
    };
    (lab.observe)(Event::Began("writing"));
    write(lab, experiment, &found)?;
    Ok(found)
}

fn write(lab: &Lab<'_>, experiment: &Experiment, found: &Found) -> Result<(), LabError> {
    let folder = lab.folder;
    let json = serde_json::to_string_pretty(found).expect("reports are plain data");
    publish(&folder.join("report.json"), json.as_bytes())?;
    publish(&folder.join("table.csv"), csv(&found.reports).as_bytes())?;
    write_plots(&folder.join("plots"), &found.reports)?;
    Ok(publish(&folder.join("README.md"), page::page(experiment, found, lab.effort).as_bytes())?)
}

fn write_plots(folder: &Path, reports: &[Report]) -> Result<(), LabError> {
    for report in reports {
        for plot in &report.plots {
            create_dir(folder)?;
            publish(&folder.join(page::plot_file(report, plot)), plot.svg.as_bytes())?;
        }
    }
    Ok(())
}

/// The long table: one number a line.
fn csv(reports: &[Report]) -> String {
    let mut out = String::from("rung,subject,seed,metric,value\n");
    for report in reports {
        for cell in &report.cells {
            let seed = cell.seed.map(|s| s.to_string()).unwrap_or_default();
            out += &format!(
                "{},{},{seed},{},{}\n",
                report.rung,
                quoted(&cell.subject),
                quoted(&cell.metric),
                cell.value
            );
        }
    }
    out
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_a_comma_is_one_cell() {
        assert_eq!(quoted("truth, 20 %"), "\"truth, 20 %\"");
        assert_eq!(quoted("L0"), "L0");
    }
}
