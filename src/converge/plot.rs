//! Small plots over the time of a run, as SVG within the page.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 24.0;
/// With more lines than that, their names would be in each other's way.
const MOST_NAMES: usize = 8;
/// More dots than that are one blot.
const MOST_DOTS: usize = 2000;

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// By powers of ten, from 1 on.
    Powers,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Line,
    Dots,
}

/// One series of a plot: milliseconds and values.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Debug, Clone)]
pub struct Plot<'a> {
    /// What it shows, for those who can not see it.
    pub label: &'a str,
    pub unit: &'a str,
    pub scale: Scale,
    pub mark: Mark,
    /// Where time ends, in milliseconds.
    pub end: f64,
    pub series: Vec<Series>,
}

impl Plot<'_> {
    /// Writes it as SVG, or nothing when there is nothing to show.
    pub fn write(&self, out: &mut String) -> std::fmt::Result {
        let values = self.series.iter().flat_map(|one| &one.points);
        let Some(top) = values.map(|(_, value)| *value).reduce(f64::max) else {
            return Ok(());
        };
        let ticks = ticks(self.scale, top);
        let top = ticks.last().copied().unwrap_or(1.0);
        writeln!(
            out,
            "<div class=\"wide\" tabindex=\"0\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            self.label
        )?;
        for tick in ticks {
            let y = self.y(tick, top);
            writeln!(
                out,
                "<line class=\"lane\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                short(tick)
            )?;
        }
        for (place, series) in self.series.iter().enumerate() {
            self.write_series(out, place, series, top)?;
        }
        writeln!(
            out,
            "<text x=\"0\" y=\"12\">{}</text><text x=\"{LEFT}\" y=\"{1}\">0 ms</text>\
             <text x=\"{WIDTH}\" y=\"{1}\" text-anchor=\"end\">{2:.0} ms</text></svg></div>",
            self.unit,
            HEIGHT - 6.0,
            self.end
        )
    }

    fn write_series(
        &self,
        out: &mut String,
        place: usize,
        series: &Series,
        top: f64,
    ) -> std::fmt::Result {
        let colour = place % MOST_NAMES;
        let at = |(ms, value): &(f64, f64)| {
            let x = LEFT + ms / self.end.max(1.0) * (WIDTH - LEFT - 10.0);
            (x, self.y(*value, top))
        };
        match self.mark {
            Mark::Line => {
                write!(out, "<polyline class=\"s{colour}\" points=\"")?;
                for (x, y) in series.points.iter().map(at) {
                    write!(out, "{x:.1},{y:.1} ")?;
                }
                writeln!(out, "\"><title>{}</title></polyline>", series.name)?;
            }
            Mark::Dots => {
                let every = series.points.len().div_ceil(MOST_DOTS).max(1);
                write!(out, "<path class=\"dots\" d=\"")?;
                for (x, y) in series.points.iter().step_by(every).map(at) {
                    // A line of no length with round ends is a dot.
                    write!(out, "M{x:.1} {y:.1}h0")?;
                }
                writeln!(out, "\"><title>{}</title></path>", series.name)?;
            }
        }
        if self.mark == Mark::Line && self.series.len() <= MOST_NAMES {
            let x = LEFT + place as f64 * 105.0;
            writeln!(
                out,
                "<line class=\"s{colour}\" x1=\"{x}\" x2=\"{}\" y1=\"8\" y2=\"8\"/><text x=\"{}\" y=\"12\">{}</text>",
                x + 16.0,
                x + 21.0,
                series.name
            )?;
        }
        Ok(())
    }

    fn y(&self, value: f64, top: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => value / top,
            Scale::Powers => value.max(1.0).log10() / top.log10(),
        };
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// Round values from the lowest to one that is not below `top`.
fn ticks(scale: Scale, top: f64) -> Vec<f64> {
    match scale {
        Scale::Powers => {
            let powers = top.max(2.0).log10().ceil() as i32;
            (0..=powers).map(|power| 10_f64.powi(power)).collect()
        }
        Scale::Linear => {
            let rough = top.max(1.0) / 4.0;
            let power = 10_f64.powf(rough.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
            let step = steps.into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(rough).max(1.0);
            let count = (top.max(1.0) / step).ceil() as u32;
            (0..=count).map(|place| f64::from(place) * step).collect()
        }
    }
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e4 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_or_above_the_highest_value_in_round_steps() {
        assert_eq!(ticks(Scale::Linear, 7.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(Scale::Linear, 0.0), [0.0, 1.0]);
        assert_eq!(ticks(Scale::Linear, 1_000.0).last(), Some(&1_000.0));
        assert_eq!(ticks(Scale::Powers, 340.0), [1.0, 10.0, 100.0, 1000.0]);
        for top in [1.0, 3.0, 99.0, 12_345.0, 7e7] {
            for scale in [Scale::Linear, Scale::Powers] {
                let ticks = ticks(scale, top);
                assert!(
                    *ticks.last().unwrap() >= top && ticks.len() < 12,
                    "{top}: {ticks:?}"
                );
            }
        }
    }

    #[test]
    fn a_plot_stays_within_its_frame() {
        let plot = Plot {
            label: "test",
            unit: "ms",
            scale: Scale::Powers,
            mark: Mark::Dots,
            end: 100.0,
            series: vec![Series {
                name: "one".to_owned(),
                points: vec![(0.0, 0.0), (100.0, 1000.0)],
            }],
        };
        let mut svg = String::new();
        plot.write(&mut svg).unwrap();
        assert!(svg.contains("M80.0 156.0h0M950.0 22.0h0"), "{svg}");
        let mut nothing = String::new();
        let plot = Plot {
            series: vec![],
            ..plot
        };
        plot.write(&mut nothing).unwrap();
        assert_eq!(nothing, "");
    }
}
