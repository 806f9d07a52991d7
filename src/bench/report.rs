//! What a bench found: rows of medians beside what is wanted, as text for people and as JSON with every single run.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::{
    figures::{Figures, QUANTILES, median},
    machine::Machine,
    meter::OTHERS,
    page,
    run::{Plan, Series},
    scenario::Scenario,
    wanted::Wanted,
};

/// What others may take of each core before a run's figures are doubtful.
const BUSY_PERCENT: f64 = 10.0;

/// Everything that one call of `coscribe bench` measured.
#[derive(Debug)]
pub struct Report {
    pub machine: Machine,
    /// What is compared with the relay: `coscribe`, or `server` for one of somebody else's.
    pub subject: &'static str,
    /// Where it is, if it is not ours.
    pub url: Option<String>,
    pub pairs: usize,
    /// It was short: the figures show that everything works and are no measurement.
    pub quick: bool,
    /// Whether a scenario has another size than its own.
    pub resized: bool,
    /// Whether limits are judged: only our own server, built with optimisation, at the scenarios' own sizes.
    pub judged: bool,
    pub series: Vec<Series>,
}

/// One figure of a scenario, over all its runs.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    /// The relay's, and the other's.
    pub cells: [Cell; 2],
    pub ratio: Option<Ratio>,
    #[serde(skip)]
    pub wanted: Option<&'static Wanted>,
    /// Share of the limit that was used; above 1 it is missed.
    pub used: Option<f64>,
}

/// The median of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    Value(f64),
    /// The scenario has this figure, but not for this server.
    None,
    /// It could not be measured here.
    NotMeasured,
}

/// The pairs' ratios, the other's figure to the relay's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Report {
    /// The report on these runs; `machine` is where they ran.
    pub fn new(plan: &Plan, machine: Machine, series: Vec<Series>) -> Self {
        let (subject, resized) = (plan.subject.name(), !plan.sizes.are_standard());
        Self {
            machine,
            subject,
            url: plan.subject.url(),
            pairs: plan.pairs,
            quick: plan.sizes.quick,
            resized,
            judged: subject == "coscribe" && !resized && !cfg!(debug_assertions),
            series,
        }
    }

    /// What is compared with the relay, and where it is.
    pub fn subject_in_full(&self) -> String {
        match &self.url {
            Some(url) => format!("{} at {url}", self.subject),
            None => self.subject.to_owned(),
        }
    }

    /// The runs of a scenario, if it was asked for.
    pub fn of(&self, scenario: Scenario) -> Option<&Series> {
        self.series
            .iter()
            .find(|series| series.scenario == scenario)
    }

    /// Names of the scenarios that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.series.iter().filter(|series| series.failed.is_some());
        failed.map(|series| series.scenario.name()).collect()
    }

    /// What a reader has to know before the figures, as sentences.
    pub fn caveats(&self) -> Vec<&'static str> {
        let mut caveats = Vec::new();
        if self.quick {
            caveats.push("A quick run: far smaller and shorter than said below, to show that everything works. Its figures are no measurement.");
        } else if self.resized {
            caveats.push("Not at the sizes said below, which are the scenarios' own, so limits are not judged.");
        }
        if cfg!(debug_assertions) {
            caveats.push("A debug build, so limits are not judged.");
        }
        if self.busy() {
            caveats.push("The machine was busy with other work (the rows \"CPU of others\"), so latencies mean little.");
        }
        caveats
    }

    /// Whether others took so much of the machine that the figures are doubtful, in half of the scenarios or more.
    fn busy(&self) -> bool {
        let of_others = self.series.iter().filter_map(|series| {
            let row = series.row(OTHERS, "");
            row.cells[1].value().or(row.cells[0].value())
        });
        let of_others: Vec<_> = of_others.collect();
        median(&of_others) > BUSY_PERCENT * self.machine.cores as f64
    }

    /// The limit of a row in words; empty where there is none, and for somebody else's server, of which nothing is wanted.
    pub fn wanted_of(&self, row: &Row) -> String {
        match self.url {
            Some(_) => String::new(),
            None => row.judgement(self.judged),
        }
    }

    /// The limits of all scenarios that were judged, with their rows.
    pub fn judgements(&self) -> Vec<(&Series, Row)> {
        let rows = self.series.iter().flat_map(|series| {
            let rows = series.rows().into_iter();
            rows.map(move |row| (series, row))
        });
        rows.filter(|(_, row)| row.wanted.is_some()).collect()
    }

    /// For people, on a terminal.
    pub fn text(&self) -> String {
        let mut out = format!(
            "bare relay and {}, {} in turns; medians\n{}\n",
            self.subject_in_full(),
            match self.pairs {
                1 => "1 pair".to_owned(),
                pairs => format!("{pairs} pairs"),
            },
            self.machine.describe()
        );
        for caveat in self.caveats() {
            let _written = writeln!(out, "{caveat}");
        }
        for series in &self.series {
            // Writing to a string does not fail.
            let _written = self.write_series(series, &mut out);
        }
        out
    }

    fn write_series(&self, series: &Series, out: &mut String) -> std::fmt::Result {
        let scenario = series.scenario;
        writeln!(out, "\n{}: {}", scenario.name(), scenario.about())?;
        if let Some(reason) = &series.left_out {
            return writeln!(out, "  left out: {reason}");
        }
        if let Some(reason) = &series.failed {
            writeln!(out, "  FAILED: {reason}")?;
        }
        let rows = series.rows();
        if rows.is_empty() {
            return Ok(());
        }
        let line = |cells: [&str; 5]| {
            let [name, relay, other, ratio, wanted] = cells;
            let line = format!("  {name:<36} {relay:>12} {other:>12}  {ratio:<24} {wanted}");
            format!("{}\n", line.trim_end())
        };
        let header = ["", "bare relay", self.subject, "ratio", "wanted"];
        out.push_str(&line(header));
        for row in rows {
            let [relay, other] = row.cells.map(Cell::shown);
            let wanted = self.wanted_of(&row);
            out.push_str(&line([
                &row.label(),
                &relay,
                &other,
                &row.ratio_shown(),
                &wanted,
            ]));
        }
        Ok(())
    }

    /// Everything, with each single run.
    ///
    /// # Errors
    /// Never in practice: all values are numbers and text.
    pub fn json(&self) -> serde_json::Result<String> {
        let scenarios = self.series.iter().map(|series| {
            let rows = series.rows().into_iter().map(|row| {
                let mut value = serde_json::to_value(&row)?;
                value["wanted"] = json!(row.wanted.map(Wanted::words));
                Ok(value)
            });
            Ok(json!({
                "name": series.scenario.name(),
                "about": series.scenario.about(),
                "size": series.size,
                "left_out": series.left_out,
                "failed": series.failed,
                "rows": rows.collect::<serde_json::Result<Vec<_>>>()?,
                "relay_runs": series.runs[0],
                "subject_runs": series.runs[1],
            }))
        });
        serde_json::to_string_pretty(&json!({
            "machine": self.machine,
            "subject": self.subject,
            "url": self.url,
            "pairs": self.pairs,
            "quick": self.quick,
            "judged": self.judged,
            "quantiles": QUANTILES,
            "scenarios": scenarios.collect::<serde_json::Result<Vec<_>>>()?,
        }))
    }

    /// One page with plots.
    pub fn html(&self) -> String {
        page::render(self)
    }
}

impl Series {
    /// The figures that either side has, in their order.
    pub fn rows(&self) -> Vec<Row> {
        let longest = self.runs.iter().rev().filter_map(|runs| runs.first());
        let longest = longest.max_by_key(|figures| figures.values.len());
        let names = longest.into_iter().flat_map(|figures| &figures.values);
        names
            .map(|figure| self.row(figure.name, figure.unit))
            .collect()
    }

    /// The row of one figure.
    pub fn row(&self, name: &'static str, unit: &'static str) -> Row {
        let values = |runs: &[Figures]| -> Vec<f64> {
            runs.iter().filter_map(|run| run.value(name)).collect()
        };
        let [relay, subject] = [values(&self.runs[0]), values(&self.runs[1])];
        let ratios = relay.iter().zip(&subject).map(|(a, b)| b / a);
        // There is no ratio to nothing.
        let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
        let ratio = (!ratios.is_empty()).then(|| Ratio {
            median: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        });
        let cells = [(&relay, 0), (&subject, 1)].map(|(values, side)| {
            let known = self.runs[side]
                .first()
                .is_some_and(|figures| figures.values.iter().any(|figure| figure.name == name));
            match values.is_empty() {
                false => Cell::Value(median(values)),
                true if known => Cell::NotMeasured,
                true => Cell::None,
            }
        });
        let wanted = Wanted::of(self.scenario, name);
        let used = wanted.and_then(|wanted| {
            let [relay, subject] = cells.map(Cell::value);
            wanted.used(relay, subject, ratio.map(|ratio| ratio.median))
        });
        Row {
            name,
            unit,
            cells,
            ratio,
            wanted,
            used,
        }
    }

    /// The distribution of one side's latencies: milliseconds at each of [`QUANTILES`], each the median of the runs.
    /// Empty where there are none.
    pub fn latencies(&self, side: usize) -> Vec<f64> {
        let curves = self.runs[side]
            .iter()
            .filter_map(|run| run.latencies.as_ref());
        let curves: Vec<_> = curves.collect();
        if curves.is_empty() {
            return Vec::new();
        }
        let at = |index: usize| curves.iter().map(|curve| curve[index]).collect::<Vec<_>>();
        (0..QUANTILES.len())
            .map(|index| median(&at(index)))
            .collect()
    }
}

impl Row {
    /// Name and unit.
    pub fn label(&self) -> String {
        format!("{}, {}", self.name, self.unit)
    }

    /// The ratio with its range, or a dash.
    pub fn ratio_shown(&self) -> String {
        self.ratio.map_or("–".into(), |ratio| {
            let [median, least, greatest] =
                [ratio.median, ratio.least, ratio.greatest].map(significant);
            match least == greatest {
                true => median,
                false => format!("{median} ({least} to {greatest})"),
            }
        })
    }

    /// The limit in words and, where it is `judged`, whether it is missed. Empty where there is no limit.
    pub fn judgement(&self, judged: bool) -> String {
        let Some(wanted) = self.wanted else {
            return String::new();
        };
        let verdict = match self.used {
            Some(used) if judged && used > 1.0 => " MISSED",
            _ => "",
        };
        wanted.words() + verdict
    }
}

impl Cell {
    /// The number, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::None | Self::NotMeasured => None,
        }
    }

    /// For people.
    pub fn shown(self) -> String {
        match self {
            Self::Value(value) => significant(value),
            Self::None => "–".to_owned(),
            Self::NotMeasured => "not measured".to_owned(),
        }
    }
}

/// Three significant digits, as no run is more exact than that, and thousands apart.
pub fn significant(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let unit = 10_f64.powf(large.log10().floor() - 2.0);
            grouped((value / unit).round() * unit)
        }
        large if large >= 100.0 => format!("{value:.0}"),
        tens if tens >= 10.0 => format!("{value:.1}"),
        ones if ones >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    if value < 0.0 {
        out.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario::Sizes;

    fn series(relay: &[f64], subject: &[Option<f64>]) -> Series {
        let run = |value| {
            let mut figures = Figures::default();
            figures.add_measured("CPU per delivered update", "µs", value);
            figures
        };
        Series {
            scenario: Scenario::FanOut,
            size: Sizes::default().of(Scenario::FanOut),
            runs: [
                relay.iter().map(|value| run(Some(*value))).collect(),
                subject.iter().map(|value| run(*value)).collect(),
            ],
            left_out: None,
            failed: None,
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_and_not_that_of_the_medians() {
        let series = series(&[1.0, 10.0, 2.0], &[Some(2.0), Some(10.0), Some(6.0)]);
        let row = &series.rows()[0];
        assert_eq!(row.cells, [Cell::Value(2.0), Cell::Value(6.0)]);
        assert_eq!(row.ratio_shown(), "2.00 (1.00 to 3.00)");
        assert_eq!(row.used, Some(2.0 / 1.25));
        assert_eq!(row.judgement(true), "ratio ≤ 1.25 MISSED");
        assert_eq!(row.judgement(false), "ratio ≤ 1.25");
    }

    #[test]
    fn what_is_not_measured_is_not_zero_and_not_judged() {
        let series = series(&[1.0], &[None]);
        let row = &series.rows()[0];
        assert_eq!(row.cells[1], Cell::NotMeasured);
        assert_eq!((row.ratio, row.used), (None, None));
        assert_eq!(row.judgement(true), "ratio ≤ 1.25");
    }

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.0123, 1.234, 12.34, 123.4, 2_619_432.0, -1234.0].map(significant);
        assert_eq!(
            shown,
            ["0.012", "1.23", "12.3", "123", "2,620,000", "-1,230"]
        );
    }
}
