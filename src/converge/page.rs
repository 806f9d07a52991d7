//! The report as one HTML page: no scripts, no other resources, light and dark.

use std::fmt::Write as _;

use super::{fate::Fate, report::Report};

const WIDTH: f64 = 960.0;
const LANE: f64 = 26.0;
const LEFT: f64 = 80.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#667080;--paper:#fff;--line:#dfe3e8;--edit:#3b6fd4;--fault:#d9822b;--bad:#c0392b;--good:#2e8b57}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#98a2b0;--paper:#16181c;--line:#30353d;--edit:#7aa5f5;--fault:#f0a95b;--bad:#f07167;--good:#6fcf97}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1000px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}.good{color:var(--good)}.bad{color:var(--bad)}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid var(--line)}\
pre{background:color-mix(in srgb,var(--line) 40%,transparent);padding:.8rem;overflow:auto}li{overflow-wrap:anywhere}\
.wide{overflow-x:auto}svg{width:100%;min-width:640px;height:auto}\
svg text{fill:var(--soft);font-size:12px}.edit{fill:var(--edit)}.fault{fill:var(--fault);opacity:.75}.lane{stroke:var(--line)}\
.key{color:var(--soft)}";

/// The whole page.
pub fn render(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _written = write_page(report, &mut out);
    out
}

fn write_page(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let class = if report.converged { "good" } else { "bad" };
    let headline = escape(&report.headline());
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>coscribe converge: {headline}</title><style>{STYLE}</style>\n<h1 class=\"{class}\">{headline}</h1>\n"
    )?;
    if let Some(kept) = &report.outcome.kept {
        writeln!(out, "<p>{}</p>", escape(&kept.sentence()))?;
    }
    if !report.outcome.findings.is_empty() {
        writeln!(out, "<h2>What is wrong</h2><ul>")?;
        for finding in report.outcome.findings.iter().take(50) {
            writeln!(
                out,
                "<li><b>{}</b>: {}</li>",
                finding.kind.name(),
                escape(&finding.what)
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
        "<p class=\"key\">Thin marks are edits, bars are faults; the pointer names them.</p><h2>People</h2>"
    )?;
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

fn time_line(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let lanes = f64::from(report.clients) + 1.0;
    let height = lanes * LANE + 24.0;
    let end = report
        .outcome
        .happenings
        .iter()
        .map(|one| one.at + one.lasts);
    let end = f64::from(end.max().unwrap_or(0).max(1));
    let x = |at: u32| LEFT + f64::from(at) / end * (WIDTH - LEFT - 10.0);
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
    for one in &report.outcome.happenings {
        let lane = one.client.map_or(0.0, |client| f64::from(client) + 1.0);
        let y = lane * LANE + LANE / 2.0;
        let (class, width, tall) = match one.is_edit {
            true => ("edit", 1.5, 12.0),
            false => ("fault", (x(one.lasts) - LEFT).max(3.0), 18.0),
        };
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{tall}\"><title>{} ms: {}</title></rect>",
            x(one.at),
            y - tall / 2.0,
            one.at,
            escape(&one.what)
        )?;
    }
    writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{0}\">0 ms</text><text x=\"{WIDTH}\" y=\"{0}\" text-anchor=\"end\">{end} ms</text></svg></div>",
        height - 6.0
    )
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
