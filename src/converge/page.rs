//! The report as one HTML page: no scripts, no other resources, light and dark.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    fate::Fate,
    plot::{Mark, Plot, Scale, Series},
    proxy::Traffic,
    report::Report,
    state::Happening,
};
use crate::page::{self, escape};

/// Of the findings, so many are shown.
const SHOWN: usize = 20;
const WIDTH: f64 = 960.0;
const LANE: f64 = 26.0;
const LEFT: f64 = 80.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#667080;--paper:#fff;--line:#dfe3e8;--edit:#3b6fd4;--fault:#d9822b;--bad:#c0392b;--good:#2e8b57}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#98a2b0;--paper:#16181c;--line:#30353d;--edit:#7aa5f5;--fault:#f0a95b;--bad:#f07167;--good:#6fcf97}}\
h2{margin-top:2rem}.good{color:var(--good)}.bad{color:var(--bad)}\
pre{background:color-mix(in srgb,var(--line) 40%,transparent);padding:.8rem;overflow:auto}li{overflow-wrap:anywhere}\
svg{width:100%;min-width:640px;height:auto}\
svg text{fill:var(--soft);font-size:12px}.edit{fill:var(--edit)}.fault{fill:var(--fault);opacity:.45}.lane{stroke:var(--line)}\
.key{color:var(--soft)}\
svg polyline,svg path,svg line[class^=s]{fill:none;stroke-width:1.6}.dots{stroke:var(--edit);stroke-width:3!important;stroke-linecap:round;opacity:.55}\
.s0{stroke:var(--edit)}.s1{stroke:var(--fault)}.s2{stroke:var(--good)}.s3{stroke:var(--bad)}\
.s4{stroke:#8e6bd8}.s5{stroke:#1aa3a3}.s6{stroke:#c05a9d}.s7{stroke:#8a8f45}";

/// The whole page.
pub fn render(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _written = write_page(report, &mut out);
    out
}

fn write_page(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let class = if report.converged { "good" } else { "bad" };
    let headline = report.headline();
    page::begin(out, &format!("coscribe converge: {headline}"), STYLE)?;
    writeln!(out, "<h1 class=\"{class}\">{}</h1>", escape(&headline))?;
    if let Some(kept) = &report.outcome.kept {
        writeln!(out, "<p>{}</p>", escape(&kept.sentence()))?;
    }
    if !report.outcome.findings.is_empty() {
        writeln!(out, "<h2>What is wrong</h2><ul>")?;
        for finding in report.outcome.findings.iter().take(SHOWN) {
            writeln!(
                out,
                "<li><b>{}</b>: {}</li>",
                finding.kind.name(),
                escape(&finding.what)
            )?;
        }
        let more = report.outcome.findings.len().saturating_sub(SHOWN);
        if more > 0 {
            writeln!(
                out,
                "<li>… and {more} more, all of them in the JSON report</li>"
            )?;
        }
        writeln!(out, "</ul>")?;
        pre(
            out,
            "What led to the first of them",
            &report.led_to_it.join("\n"),
        )?;
    }
    if let Some(small) = &report.shrunk {
        let title = format!(
            "The smallest history that still fails ({} steps; failed again in {} of {} runs)",
            small.steps, small.confirmed, small.confirmed_of
        );
        pre(out, &title, &small.script)?;
    }
    writeln!(out, "<h2>Time line</h2>")?;
    time_line(report, out)?;
    writeln!(
        out,
        "<p class=\"key\">Thin marks are edits, bars are faults; the pointer names them.</p>"
    )?;
    plots(report, out)?;
    writeln!(out, "<h2>People</h2>")?;
    people(&report.outcome.fates, out)?;
    writeln!(
        out,
        "<p>{} tokens are there in the end. Compared: {}. Settled {} ms after the last step.</p>",
        report.outcome.visible,
        escape(&report.outcome.compared.join(", ")),
        report.outcome.settled_after
    )?;
    pre(out, "The whole script", &report.script)
}

fn pre(out: &mut String, title: &str, text: &str) -> std::fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>{}</h2><pre>{}</pre>", escape(title), escape(text))
}

/// Milliseconds that the time line and the plots show.
fn end(report: &Report<'_>) -> f64 {
    let happenings = report.outcome.happenings.iter();
    let end = happenings.map(|one| one.at + one.lasts).max();
    let measures = &report.outcome.measures;
    let measured = measures.bin_ms * measures.traffic.len() as u32;
    f64::from(end.unwrap_or(0).max(measured).max(1))
}

fn time_line(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let lanes = f64::from(report.clients) + 1.0;
    let height = lanes * LANE + 24.0;
    let end = end(report);
    let x = |at: u32| LEFT + f64::from(at) / end * (WIDTH - LEFT - 10.0);
    let y = |one: &Happening| {
        let lane = one.client.map_or(0.0, |client| f64::from(client) + 1.0);
        lane * LANE + LANE / 2.0
    };
    writeln!(
        out,
        "<div class=\"wide\" tabindex=\"0\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"edits and faults of each client over time\">"
    )?;
    for lane in 0..=report.clients {
        let y = f64::from(lane) * LANE + LANE / 2.0;
        let name = match lane {
            0 => "server".to_owned(),
            lane => format!("client {}", lane - 1),
        };
        writeln!(
            out,
            "<text x=\"0\" y=\"{}\">{name}</text><line class=\"lane\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>",
            y + 4.0
        )?;
    }
    for one in report.outcome.happenings.iter().filter(|one| !one.is_edit) {
        let width = (x(one.lasts) - LEFT).max(3.0);
        bar(out, "fault", (x(one.at), y(one), width, 18.0), one, "")?;
    }
    // Edits that would stand on each other are one mark.
    let mut edits: BTreeMap<(Option<u16>, u32), (&Happening, u32)> = BTreeMap::new();
    for one in report.outcome.happenings.iter().filter(|one| one.is_edit) {
        let place = (one.client, x(one.at) as u32);
        edits.entry(place).or_insert((one, 0)).1 += 1;
    }
    for (one, count) in edits.values() {
        let more = match count {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        bar(out, "edit", (x(one.at), y(one), 1.5, 12.0), one, &more)?;
    }
    writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{0}\">0 ms</text><text x=\"{WIDTH}\" y=\"{0}\" text-anchor=\"end\">{end} ms</text></svg></div>",
        height - 6.0
    )
}

/// A mark of a place, the middle of its height, a width and a height.
fn bar(
    out: &mut String,
    class: &str,
    (x, y, width, tall): (f64, f64, f64, f64),
    one: &Happening,
    more: &str,
) -> std::fmt::Result {
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{tall}\"><title>{} ms: {}{more}</title></rect>",
        y - tall / 2.0,
        one.at,
        escape(&one.what)
    )
}

fn plots(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let measures = &report.outcome.measures;
    let bin = f64::from(measures.bin_ms.max(1));
    let middle = |place: usize| (place as f64 + 0.5) * bin;
    let bytes = |name: &str, pick: fn(&Traffic) -> u64| Series {
        name: name.to_owned(),
        points: measures
            .traffic
            .iter()
            .enumerate()
            .map(|(place, traffic)| (middle(place), pick(traffic) as f64 * 1000.0 / bin))
            .collect(),
    };
    let behind = measures.behind.iter().map(|behind| Series {
        name: format!("client {}", behind.client),
        points: (0..)
            .zip(&behind.edits)
            .map(|(place, edits)| (middle(place), f64::from(*edits)))
            .collect(),
    });
    let seen = measures.seen.iter();
    let seen = seen.map(|seen| (f64::from(seen.at), f64::from(seen.after)));
    let end = end(report);
    let plot = |label, unit, scale, mark, series: Vec<Series>| Plot {
        label,
        unit,
        scale,
        mark,
        end,
        series,
    };
    writeln!(out, "<h2>Bytes on the way</h2>")?;
    let series = vec![
        bytes("to server", |traffic| traffic.to_server),
        bytes("from server", |traffic| traffic.from_server),
    ];
    let label = "bytes per second of all people over time";
    plot(label, "bytes/s", Scale::Linear, Mark::Line, series).write(out)?;
    writeln!(out, "<h2>Edits of others that had not arrived yet</h2>")?;
    let label = "edits under way to each client over time";
    plot(label, "edits", Scale::Linear, Mark::Line, behind.collect()).write(out)?;
    writeln!(out, "<h2>Time until all survivors had an edit</h2>")?;
    let series = vec![Series {
        name: "edits".to_owned(),
        points: seen.collect(),
    }];
    let label = "milliseconds until each edit was seen, by the time at which it was made";
    plot(label, "ms", Scale::Powers, Mark::Dots, series).write(out)?;
    match report.seen_words() {
        Some(words) => writeln!(out, "<p class=\"key\">{words}</p>"),
        None => Ok(()),
    }
}

fn people(fates: &[Fate], out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "<div class=\"wide\" tabindex=\"0\"><table><tr><th>{}<th></tr>",
        Fate::COLUMNS.join("<th>")
    )?;
    for fate in fates {
        let cells = fate.cells().join("<td>");
        writeln!(out, "<tr><td>{cells}<td>{}</tr>", fate.remark())?;
    }
    writeln!(out, "</table></div>")
}
