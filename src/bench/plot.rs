//! Plots as SVG: curves on two axes, and bars against a limit. Colours are classes of the page, so that they follow its
//! light and dark.

use std::fmt::Write as _;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;

/// One axis: how a value becomes a place, and what is written beside it.
pub struct Axis {
    pub title: &'static str,
    /// The values at both ends.
    pub from: f64,
    pub to: f64,
    pub logarithmic: bool,
    /// Values with a mark, and what is written there.
    pub marks: Vec<(f64, String)>,
}

/// One curve.
pub struct Curve {
    /// Class of the page that colours it.
    pub class: &'static str,
    pub points: Vec<(f64, f64)>,
}

impl Axis {
    /// From the least to the greatest of these values, by powers of ten. `None` when no value is above zero.
    pub fn logarithmic(title: &'static str, values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut least, mut greatest) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            (least, greatest) = (least.min(value), greatest.max(value));
        }
        if greatest <= 0.0 {
            return None;
        }
        let (first, last) = (least.log10().floor(), greatest.log10().ceil());
        let last = last.max(first + 1.0);
        let powers = (0..=(last - first) as i32).map(|step| 10_f64.powf(first + f64::from(step)));
        Some(Self {
            title,
            from: 10_f64.powf(first),
            to: 10_f64.powf(last),
            logarithmic: true,
            marks: powers.map(|value| (value, plain(value))).collect(),
        })
    }

    /// From zero to the greatest of these values, in round steps. `None` when no value is above zero.
    pub fn linear(title: &'static str, values: impl Iterator<Item = f64>) -> Option<Self> {
        let greatest = values.fold(0.0_f64, f64::max);
        if greatest <= 0.0 || !greatest.is_finite() {
            return None;
        }
        let power = 10_f64.powf((greatest / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| step * 5.0 >= greatest)
            .unwrap_or(10.0 * power);
        let steps = (greatest / step).ceil();
        let marks = (0..=steps as i32).map(|count| f64::from(count) * step);
        Some(Self {
            title,
            from: 0.0,
            to: steps * step,
            logarithmic: false,
            marks: marks.map(|value| (value, plain(value))).collect(),
        })
    }

    /// 0 at the beginning of the axis, 1 at its end.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| match self.logarithmic {
            true => value.max(self.from).log10(),
            false => value,
        };
        (scale(value) - scale(self.from)) / (scale(self.to) - scale(self.from))
    }
}

/// A number without needless digits.
fn plain(value: f64) -> String {
    match value {
        large if large >= 1e6 => format!("{}M", large / 1e6),
        large if large >= 1e4 => format!("{}k", large / 1e3),
        _ => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// Curves on two axes; `label` says what they show to those who do not see them.
pub fn curves(label: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _written = write_curves(label, x, y, curves, &mut out);
    out
}

fn write_curves(
    label: &str,
    x: &Axis,
    y: &Axis,
    curves: &[Curve],
    out: &mut String,
) -> std::fmt::Result {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let at_x = |value| LEFT + x.place(value) * (right - LEFT);
    let at_y = |value| bottom - y.place(value) * (bottom - TOP);
    writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">"
    )?;
    for (value, text) in &y.marks {
        let place = at_y(*value);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 6.0,
            place + 4.0
        )?;
    }
    for (value, text) in &x.marks {
        let place = at_x(*value);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{place:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
            bottom + 17.0
        )?;
    }
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(13 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 8.0,
        x.title,
        f64::midpoint(TOP, bottom),
        y.title
    )?;
    for curve in curves {
        let places = curve.points.iter().map(|(a, b)| (at_x(*a), at_y(*b)));
        let places: Vec<_> = places.map(|(a, b)| format!("{a:.1},{b:.1}")).collect();
        writeln!(
            out,
            "<polyline class=\"curve {}\" points=\"{}\"/>",
            curve.class,
            places.join(" ")
        )?;
        for (place, (a, b)) in places.iter().zip(&curve.points) {
            let (cx, cy) = place.split_once(',').unwrap_or_default();
            writeln!(
                out,
                "<circle class=\"{}\" cx=\"{cx}\" cy=\"{cy}\" r=\"3\"><title>{}: {}</title></circle>",
                curve.class,
                plain(*a),
                plain(*b)
            )?;
        }
    }
    writeln!(out, "</svg>")
}

/// One bar: how much of what is allowed was used.
pub struct Bar {
    /// What it is, already escaped.
    pub label: String,
    /// What was measured and what is wanted, already escaped.
    pub words: String,
    /// 1 at the limit.
    pub used: f64,
}

const BAR_ROW: f64 = 46.0;
const BAR_WIDTH: f64 = 440.0;
/// Longer bars end at the edge; what they are is written beside them.
const LONGEST: f64 = 1.5;

/// Bars under each other, each with the limit as a mark at the same place.
pub fn bars(label: &str, bars: &[Bar]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _written = write_bars(label, bars, &mut out);
    out
}

fn write_bars(label: &str, bars: &[Bar], out: &mut String) -> std::fmt::Result {
    let limit = BAR_WIDTH / LONGEST;
    let height = bars.len() as f64 * BAR_ROW;
    writeln!(
        out,
        "<svg viewBox=\"0 0 {BAR_WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">"
    )?;
    for (row, bar) in bars.iter().enumerate() {
        let y = row as f64 * BAR_ROW;
        let class = if bar.used > 1.0 { "missed" } else { "met" };
        let length = (bar.used.clamp(0.0, LONGEST) * limit).max(2.0);
        writeln!(
            out,
            "<text class=\"name\" x=\"0\" y=\"{}\">{}</text>\
             <rect class=\"{class}\" x=\"0\" y=\"{}\" width=\"{length:.1}\" height=\"10\" rx=\"2\"/>\
             <line class=\"limit\" x1=\"{limit:.1}\" x2=\"{limit:.1}\" y1=\"{}\" y2=\"{}\"/>\
             <text x=\"{BAR_WIDTH}\" y=\"{}\" text-anchor=\"end\" class=\"{class}\">{}</text>",
            y + 13.0,
            bar.label,
            y + 21.0,
            y + 18.0,
            y + 34.0,
            y + 13.0,
            bar.words
        )?;
    }
    writeln!(out, "</svg>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_values_with_round_marks() {
        let axis = Axis::logarithmic("ms", [0.3, 4.0, 0.0].into_iter()).unwrap();
        assert_eq!((axis.from, axis.to), (0.1, 10.0));
        let marks: Vec<_> = axis.marks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(marks, ["0.1", "1", "10"]);
        assert!((axis.place(1.0) - 0.5).abs() < 1e-9);

        let axis = Axis::linear("µs", [231.0, 162.0].into_iter()).unwrap();
        let marks: Vec<_> = axis.marks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(marks, ["0", "50", "100", "150", "200", "250"]);
        assert_eq!(axis.place(250.0), 1.0);
    }

    #[test]
    fn nothing_measured_makes_no_axis() {
        assert!(Axis::logarithmic("ms", [0.0].into_iter()).is_none());
        assert!(Axis::linear("µs", std::iter::empty()).is_none());
        assert!(Axis::linear("µs", [f64::INFINITY].into_iter()).is_none());
    }
}
