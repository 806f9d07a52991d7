//! The report as one HTML page with plots: no scripts, no other resources, light and dark, on wide and narrow screens.

use std::fmt::{self, Write as _};

use super::{
    fan_out::GROWING_DOCUMENT,
    figures::QUANTILES,
    open::GROWING_CROWD,
    plot::{self, Axis, Bar, Curve},
    report::{Cell, Report, significant},
    run::Series,
    scenario::Scenario,
};
use crate::page::{self, escape};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#5c6675;--paper:#fff;--line:#dfe3e8;--ours:#2f62c9;--relay:#b3661a;--bad:#b83227}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a0a9b6;--paper:#16181c;--line:#30353d;--ours:#7aa5f5;--relay:#e8a05a;--bad:#f07167}}\
h2{margin:2.5rem 0 .3rem}p{margin:.3rem 0}.soft{color:var(--soft)}.bad,.caveat{color:var(--bad)}.caveat{font-weight:600}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:1rem 2.5rem;margin:1rem 0}\
figure{margin:0;max-width:520px}figcaption{font-weight:600}svg{width:100%;height:auto;display:block}\
svg text{fill:var(--soft);font-size:12.5px}svg .name{fill:var(--ink)}svg text.missed{fill:var(--bad)}svg text.met{fill:var(--soft)}\
.grid{stroke:var(--line)}.limit{stroke:var(--ink);stroke-width:2}\
.curve{fill:none;stroke-width:2}.curve.ours{stroke:var(--ours)}.curve.relay{stroke:var(--relay)}\
circle.ours,rect.met{fill:var(--ours)}circle.relay{fill:var(--relay)}rect.missed{fill:var(--bad)}\
.key i{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin:0 .4em 0 1em}.key i:first-child{margin-left:0}i.ours{background:var(--ours)}i.relay{background:var(--relay)}\
table{margin:.8rem 0;white-space:nowrap}\
td:first-child,th:first-child{text-align:left;padding-left:0}\
@media(max-width:600px){svg text{font-size:14px}td,th{padding:.2rem .4rem}td:first-child{white-space:normal;min-width:7rem}}";

/// Classes of the relay's and of the other's curves.
const SIDES: [&str; 2] = ["relay", "ours"];

/// The whole page.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _written = write_page(report, &mut out);
    out
}

fn write_page(report: &Report, out: &mut String) -> fmt::Result {
    let missed = report.judgements();
    let missed = missed
        .iter()
        .filter(|(_, row)| row.used > Some(1.0))
        .count();
    let headline = match (report.judged, missed) {
        (false, _) => format!("{} beside a bare relay", report.subject_in_full()),
        (true, 0) => "Every limit that was measured is met".to_owned(),
        (true, 1) => "One limit is missed".to_owned(),
        (true, missed) => format!("{missed} limits are missed"),
    };
    page::begin(out, &format!("coscribe bench: {headline}"), STYLE)?;
    writeln!(
        out,
        "<h1>{}</h1>\n<p class=\"soft\">{}; pairs of each scenario: {}</p>",
        escape(&headline),
        escape(&report.machine.describe()),
        report.pairs
    )?;
    for caveat in report.caveats() {
        writeln!(out, "<p class=\"caveat\">{}</p>", escape(caveat))?;
    }
    writeln!(
        out,
        "<p class=\"key\"><i class=\"relay\"></i>bare relay: copies frames, stores and merges nothing \
         <i class=\"ours\"></i>{}</p>",
        report.subject
    )?;
    if report.judged {
        limits(report, out)?;
    }
    for series in &report.series {
        section(report, series, out)?;
    }
    Ok(())
}

/// All limits as bars.
fn limits(report: &Report, out: &mut String) -> fmt::Result {
    let judgements = report.judgements();
    let bars = judgements.iter().filter_map(|(series, row)| {
        let wanted = row.wanted?;
        let measured = match (wanted.takes_ratio(), row.ratio) {
            (true, Some(ratio)) => significant(ratio.median),
            _ => format!("{} {}", row.cells[1].shown(), row.unit),
        };
        Some(Bar {
            label: escape(&format!("{}: {}", series.scenario.name(), row.name)),
            words: escape(&format!("{measured}; {}", wanted.words())),
            used: row.used?,
        })
    });
    let bars: Vec<_> = bars.collect();
    writeln!(
        out,
        "<h2>What is used of each limit</h2>\
         <p class=\"soft\">The upright line is the limit. A bar that reaches the edge is longer.</p><div class=\"plots\">"
    )?;
    for half in bars.chunks(bars.len().div_ceil(2).max(1)) {
        out.push_str(&plot::bars("measured figures against their limits", half));
    }
    writeln!(out, "</div>")
}

fn section(report: &Report, series: &Series, out: &mut String) -> fmt::Result {
    let scenario = series.scenario;
    writeln!(
        out,
        "<h2>{}</h2><p class=\"soft\">{}</p>",
        scenario.name(),
        scenario.about()
    )?;
    if let Some(reason) = &series.left_out {
        return writeln!(out, "<p>Left out: {}.</p>", escape(reason));
    }
    if let Some(reason) = &series.failed {
        writeln!(out, "<p class=\"bad\">Failed: {}</p>", escape(reason))?;
    }
    let plots = [
        distribution(series),
        growth(
            series,
            Scenario::GrowingDocument,
            "size of the document, kB",
            &GROWING_DOCUMENT,
        ),
        growth(
            series,
            Scenario::GrowingCrowd,
            "clients at once",
            &GROWING_CROWD,
        ),
    ];
    let plots: String = plots.into_iter().flatten().collect();
    if !plots.is_empty() {
        writeln!(out, "<div class=\"plots\">{plots}</div>")?;
    }
    write!(
        out,
        "<div class=\"wide\" tabindex=\"0\"><table><tr><th><th>bare relay<th>{}<th>ratio<th>wanted</tr>",
        report.subject
    )?;
    for row in series.rows() {
        let missed = report.judged && row.used > Some(1.0);
        let [relay, subject] = row.cells.map(Cell::shown);
        writeln!(
            out,
            "<tr><td>{}<td>{relay}<td>{subject}<td>{}<td{}>{}</tr>",
            escape(&row.label()),
            row.ratio_shown(),
            if missed { " class=\"bad\"" } else { "" },
            escape(&report.wanted_of(&row))
        )?;
    }
    writeln!(out, "</table></div>")
}

/// How late things arrive: the slower a share of them, the further right.
fn distribution(series: &Series) -> Option<String> {
    let sides = [0, 1].map(|side| series.latencies(side));
    let y = Axis::logarithmic("latency, ms", sides.iter().flatten().copied())?;
    // One in so many is slower than this: the tail, where the trouble is, gets the room.
    let one_in = |quantile: f64| 1.0 / (1.0 - quantile);
    let x = Axis {
        title: "share that arrives sooner",
        from: 1.0,
        to: 1e4,
        logarithmic: true,
        marks: [
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
        ]
        .map(|(quantile, text)| (one_in(quantile), text.to_owned()))
        .into(),
    };
    let curves = sides.iter().zip(SIDES).map(|(side, class)| Curve {
        class,
        points: QUANTILES
            .map(one_in)
            .into_iter()
            .zip(side.iter().copied())
            .collect(),
    });
    let curves: Vec<_> = curves.collect();
    Some(figure("Distribution of the latency", &x, &y, &curves))
}

/// What one thing costs as the document or the crowd grows.
fn growth(
    series: &Series,
    of: Scenario,
    title: &'static str,
    sizes: &[(usize, &'static str)],
) -> Option<String> {
    if series.scenario != of {
        return None;
    }
    let curves = [0, 1].map(|side| Curve {
        class: SIDES[side],
        points: sizes
            .iter()
            .filter_map(|(size, name)| {
                let value = series.row(name, "µs").cells[side].value()?;
                Some((*size as f64, value))
            })
            .collect(),
    });
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let x = Axis::linear(title, points().map(|point| point.0))?;
    let y = Axis::linear("CPU for each, µs", points().map(|point| point.1))?;
    Some(figure("Cost as it grows", &x, &y, &curves))
}

fn figure(caption: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let svg = plot::curves(caption, x, y, curves);
    format!("<figure><figcaption>{caption}</figcaption>{svg}</figure>")
}
