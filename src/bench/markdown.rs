//! The table of `docs/performance.md`: every limit with its figures, and the curves. It stands between two marker lines,
//! so that what people wrote around it stays.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::{
    fan_out::GROWING_DOCUMENT,
    open::GROWING_CROWD,
    report::{Cell, Report, Row},
    scenario::Scenario,
    wanted::{WANTED, Wanted},
};

/// The line before the table.
pub const BEGIN: &str = "<!-- coscribe bench: begin -->";
/// The line after it.
pub const END: &str = "<!-- coscribe bench: end -->";

/// The text with the table in the place of the one it had; a text without markers gets no table.
///
/// # Errors
/// When the markers are not there, each once and in order.
pub fn insert(text: &str, table: &str) -> Result<String> {
    if text.matches(BEGIN).count() != 1 || text.matches(END).count() != 1 {
        bail!(
            "there is no place for the table; put the lines `{BEGIN}` and `{END}` into it, once each"
        );
    }
    let (before, rest) = text.split_once(BEGIN).context("no beginning")?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("`{END}` must come last"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// A new file with nothing but the table.
pub fn empty() -> String {
    format!("{BEGIN}\n{END}\n")
}

/// Everything between the markers. What was not measured is a dash.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _written = write_table(report, &mut out);
    out
}

fn write_table(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n{}; {} of each scenario.\n",
        report.machine.describe(),
        match report.pairs {
            1 => "1 pair".to_owned(),
            pairs => format!("{pairs} pairs"),
        }
    )?;
    for caveat in report.caveats() {
        writeln!(out, "**{caveat}**\n")?;
    }
    writeln!(
        out,
        "| scenario | figure | bare relay | {} | ratio | wanted |\n|---|---|---:|---:|---:|---:|",
        report.subject
    )?;
    for wanted in &WANTED {
        write_limit(report, wanted, out)?;
    }
    writeln!(out)?;
    let sizes = GROWING_DOCUMENT.map(|(kilobytes, name)| (format!("{kilobytes} kB"), name));
    write_curve(
        report,
        Scenario::GrowingDocument,
        "CPU per update",
        &sizes,
        out,
    )?;
    let sizes = GROWING_CROWD.map(|(clients, name)| (format!("{clients} at once"), name));
    write_curve(
        report,
        Scenario::GrowingCrowd,
        "CPU per client",
        &sizes,
        out,
    )?;
    for scenario in Scenario::ALL {
        writeln!(out, "- `{}`: {}", scenario.name(), scenario.about())?;
    }
    writeln!(out)
}

fn write_limit(report: &Report, wanted: &'static Wanted, out: &mut String) -> std::fmt::Result {
    let row = match report.of(wanted.scenario) {
        Some(series) => series.row(wanted.figure, wanted.unit),
        None => unmeasured(wanted),
    };
    let [relay, subject] = row.cells.map(in_table);
    let limit = row
        .judgement(report.judged)
        .replace(" MISSED", " **missed**");
    writeln!(
        out,
        "| `{}` | {} | {relay} | {subject} | {} | {limit} |",
        wanted.scenario.name(),
        row.label(),
        row.ratio_shown(),
    )
}

fn unmeasured(wanted: &'static Wanted) -> Row {
    Row {
        name: wanted.figure,
        unit: wanted.unit,
        cells: [Cell::None; 2],
        ratio: None,
        wanted: Some(wanted),
        used: None,
    }
}

fn write_curve(
    report: &Report,
    scenario: Scenario,
    figure: &str,
    sizes: &[(String, &'static str)],
    out: &mut String,
) -> std::fmt::Result {
    let heads: Vec<_> = sizes.iter().map(|(size, _)| size.as_str()).collect();
    writeln!(
        out,
        "| `{}`: {figure}, µs | {} |\n|---|{}",
        scenario.name(),
        heads.join(" | "),
        "---:|".repeat(sizes.len())
    )?;
    for (side, server) in ["bare relay", report.subject].into_iter().enumerate() {
        let cells: Vec<_> = sizes
            .iter()
            .map(|(_, name)| match report.of(scenario) {
                Some(series) => in_table(series.row(name, "µs").cells[side]),
                None => in_table(Cell::None),
            })
            .collect();
        writeln!(out, "| {server} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

fn in_table(cell: Cell) -> String {
    match cell {
        Cell::Value(_) => cell.shown(),
        Cell::None | Cell::NotMeasured => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_the_table_stays() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = insert(&text, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(insert(&new, "new\n").unwrap(), new);
    }

    #[test]
    fn a_text_without_its_markers_is_not_touched() {
        for text in [
            String::new(),
            format!("{END}\n{BEGIN}\n"),
            format!("{BEGIN}\n"),
            format!("{BEGIN}\n{END}\n{END}\n"),
        ] {
            insert(&text, "new\n").unwrap_err();
        }
    }
}
