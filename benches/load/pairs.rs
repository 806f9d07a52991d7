//! Two servers in turns: A, B, A, B… in one run, so that what the machine does meanwhile meets both. A pair's ratio is
//! B to A, and the median of the ratios is what counts.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::{
    figures::{Figures, median},
    scenario::{Scenario, Sizes},
    server::Launch,
};

#[derive(Args, Debug)]
pub struct PairOptions {
    #[arg(long, required_unless_present = "all")]
    pub scenario: Vec<Scenario>,
    /// Every scenario, one after the other.
    #[arg(long)]
    pub all: bool,
    #[arg(long, default_value_t = 5)]
    pub pairs: usize,
    /// Writes every value of every run.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Writes the tables of medians.
    #[arg(long)]
    pub markdown: Option<PathBuf>,
}

/// All runs of one scenario.
#[derive(Serialize)]
struct Series {
    scenario: String,
    baseline_name: &'static str,
    subject_name: &'static str,
    baseline: Vec<Figures>,
    subject: Vec<Figures>,
}

/// One line of a table.
struct Row {
    name: &'static str,
    unit: &'static str,
    baseline: Option<f64>,
    subject: Option<f64>,
    /// Median, least and greatest of the pairs' ratios.
    ratio: Option<(f64, f64, f64)>,
}

/// Runs the pairs; `launches` gives the two sides of a scenario.
pub fn run(
    options: &PairOptions,
    sizes: &Sizes,
    launches: impl Fn(Scenario) -> (Launch, Launch),
) -> Result<()> {
    let scenarios = if options.all {
        Scenario::all()
    } else {
        &options.scenario
    };
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for &scenario in scenarios {
        let (baseline, subject) = launches(scenario);
        let mut series = Series {
            scenario: scenario.name(),
            baseline_name: baseline.name(),
            subject_name: subject.name(),
            baseline: Vec::new(),
            subject: Vec::new(),
        };
        // One scenario that fails does not take the others' results with it.
        if let Err(error) = series.measure(scenario, [&baseline, &subject], options.pairs, sizes) {
            eprintln!("{} failed: {error:#}", scenario.name());
            failed.push(scenario.name());
        }
        print!("{}", series.markdown());
        all.push(series);
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&all)?)
            .with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.markdown {
        let tables: String = all.iter().map(Series::markdown).collect();
        fs::write(path, tables).with_context(|| path.display().to_string())?;
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Series {
    fn measure(
        &mut self,
        scenario: Scenario,
        sides: [&Launch; 2],
        pairs: usize,
        sizes: &Sizes,
    ) -> Result<()> {
        for pair in 1..=pairs {
            for (launch, runs) in sides
                .into_iter()
                .zip([&mut self.baseline, &mut self.subject])
            {
                if !scenario.suits(launch) {
                    continue;
                }
                let figures = scenario.run(launch, sizes).with_context(|| launch.name())?;
                let first = figures
                    .0
                    .first()
                    .map(|figure| format!("{} {:.3} {}", figure.name, figure.value, figure.unit));
                eprintln!(
                    "{} {pair}/{pairs} {}: {}",
                    self.scenario,
                    launch.name(),
                    first.unwrap_or_default()
                );
                runs.push(figures);
            }
        }
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let shown = self.subject.first().or(self.baseline.first());
        let names = shown
            .into_iter()
            .flat_map(|figures| &figures.0)
            .map(|figure| (figure.name, figure.unit));
        names.map(|(name, unit)| self.row(name, unit)).collect()
    }

    fn row(&self, name: &'static str, unit: &'static str) -> Row {
        let values = |runs: &[Figures]| -> Vec<f64> {
            let all = runs.iter().flat_map(|figures| &figures.0);
            all.filter(|figure| figure.name == name)
                .map(|figure| figure.value)
                .collect()
        };
        let (baseline, subject) = (values(&self.baseline), values(&self.subject));
        let ratios: Vec<f64> = baseline.iter().zip(&subject).map(|(a, b)| b / a).collect();
        let middle = |values: &[f64]| (!values.is_empty()).then(|| median(values));
        let ratio = middle(&ratios).map(|middle| {
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            (
                middle,
                least,
                ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            )
        });
        Row {
            name,
            unit,
            baseline: middle(&baseline),
            subject: middle(&subject),
            ratio,
        }
    }

    fn markdown(&self) -> String {
        let Self {
            scenario,
            baseline_name,
            subject_name,
            ..
        } = self;
        let mut table = format!(
            "\n### {scenario}\n\n| {} pairs, medians | {baseline_name} | {subject_name} | ratio (least to greatest) |\n\
             |---|---:|---:|---:|\n",
            self.subject.len().min(self.baseline.len()),
        );
        for Row {
            name,
            unit,
            baseline,
            subject,
            ratio,
        } in self.rows()
        {
            let ratio = ratio.map_or("–".into(), |(middle, least, most)| {
                format!("{middle:.2} ({least:.2} to {most:.2})")
            });
            // Writing to a string does not fail.
            let _ok = writeln!(
                table,
                "| {name}, {unit} | {} | {} | {ratio} |",
                shown(baseline),
                shown(subject)
            );
        }
        table
    }
}

/// Three significant digits, as no run is more exact than that.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}
