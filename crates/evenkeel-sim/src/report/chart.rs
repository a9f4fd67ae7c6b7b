//! A line chart as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// So few points of a line are marked.
const FEW: usize = 20;

/// Several lines over one axis.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    /// Values of y by their size, not by their difference.
    pub(super) logarithmic: bool,
    /// Spans of x in which something was wrong.
    pub(super) marked: Vec<(f64, f64)>,
    /// Values of y with a line of their own.
    pub(super) guides: &'a [f64],
    /// Names and points; a y that is not finite is a gap.
    pub(super) lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// From the least to the greatest value, without more.
    fn between(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (low < high).then_some(Self {
            low,
            high,
            logarithmic: false,
        })
    }

    fn of(values: impl Iterator<Item = f64>, logarithmic: bool) -> Option<Self> {
        let known = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        Some(if logarithmic {
            let low = libm::pow(10.0, libm::floor(libm::log10(low)));
            let high = libm::pow(10.0, libm::ceil(libm::log10(high)));
            Self {
                low,
                high: if high > low { high } else { low * 10.0 },
                logarithmic,
            }
        } else {
            let low = low.min(0.0);
            Self {
                low,
                high: if high > low { high * 1.05 } else { low + 1.0 },
                logarithmic,
            }
        })
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            let log = |value: f64| libm::log10(value.max(self.low));
            (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let (first, last) = (libm::log10(self.low), libm::log10(self.high));
            let first = libm::round(first) as i32;
            let last = libm::round(last) as i32;
            // Between few powers of ten lines are far apart.
            let parts: &[f64] = if last - first <= 2 {
                &[1.0, 2.0, 5.0]
            } else {
                &[1.0]
            };
            let ticks = (first..=last).flat_map(|power| {
                let one = libm::pow(10.0, f64::from(power));
                parts.iter().map(move |part| part * one)
            });
            return ticks.filter(|tick| *tick <= self.high).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|times| times * power)
            .into_iter()
            .find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = libm::ceil(self.low / step) as i64;
        let last = libm::floor(self.high / step) as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

impl Chart<'_> {
    /// As SVG with its title and legend; nothing when there is nothing to show.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let xs = Scale::between(points().map(|(x, _)| x));
        let ys = Scale::of(points().map(|(_, y)| y), self.logarithmic);
        let (Some(xs), Some(ys)) = (xs, ys) else {
            return String::new();
        };
        let x = |value: f64| LEFT + xs.place(value) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - ys.place(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            super::html::escape(self.title),
            super::html::escape(self.title),
        );
        for (from, until) in &self.marked {
            let (from, until) = (x(from.max(xs.low)), x(until.min(xs.high)));
            let _ = write!(
                svg,
                "<rect class=\"fault\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                (until - from).max(1.0),
                HEIGHT - TOP - BOTTOM
            );
        }
        for tick in ys.ticks() {
            let at = y(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 5.0,
                at + 4.0,
                number(tick)
            );
        }
        for tick in xs.ticks() {
            let _ = write!(
                svg,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x(tick),
                HEIGHT - BOTTOM + 15.0,
                number(tick)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"axis\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            super::html::escape(self.x),
            LEFT + 4.0,
            TOP + 10.0,
            super::html::escape(self.y),
        );
        for guide in self
            .guides
            .iter()
            .filter(|guide| (ys.low..=ys.high).contains(*guide))
        {
            let at = y(*guide);
            let _ = write!(
                svg,
                "<line class=\"guide\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                WIDTH - RIGHT
            );
        }
        for (place, (name, points)) in self.lines.iter().enumerate() {
            let mut path = String::new();
            let mut drawing = false;
            for (px, py) in points {
                if !py.is_finite() || (self.logarithmic && *py <= 0.0) {
                    drawing = false;
                    continue;
                }
                let _ = write!(
                    path,
                    "{}{:.1} {:.1}",
                    if drawing { 'L' } else { 'M' },
                    x(*px),
                    y(*py)
                );
                drawing = true;
                if points.len() <= FEW {
                    let (x, y) = (x(*px), y(*py));
                    let _ = write!(
                        svg,
                        "<circle class=\"c{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>",
                        place % 8
                    );
                }
            }
            let _ = write!(
                svg,
                "<path class=\"line c{}\" d=\"{path}\"><title>{}</title></path>",
                place % 8,
                super::html::escape(name)
            );
        }
        svg.push_str("</svg><p class=\"legend\">");
        for (place, (name, _)) in self.lines.iter().enumerate() {
            let _ = write!(
                svg,
                "<span><i class=\"c{}\"></i>{}</span> ",
                place % 8,
                super::html::escape(name)
            );
        }
        svg.push_str("</p></figure>");
        svg
    }
}

/// As short as a tick should be.
fn number(value: f64) -> String {
    let text = if value.abs() >= 1e6 {
        format!("{}M", value / 1e6)
    } else if value.abs() >= 10_000.0 {
        format!("{}k", value / 1e3)
    } else {
        format!("{value:.3}")
    };
    if text.contains('.') && !text.ends_with(['k', 'M']) {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_scale() {
        let scale = Scale::of([0.0, 37.0].into_iter(), false).unwrap();
        assert_eq!(scale.ticks(), [0.0, 10.0, 20.0, 30.0]);
        let scale = Scale::of([3.0, 4000.0, f64::NAN].into_iter(), true).unwrap();
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        let scale = Scale::between([500.0, 900.0].into_iter()).unwrap();
        assert_eq!(
            (scale.place(500.0), scale.ticks()),
            (0.0, vec![500.0, 600.0, 700.0, 800.0, 900.0])
        );
        let scale = Scale::of([12.0, 80.0].into_iter(), true).unwrap();
        assert_eq!(scale.ticks(), [10.0, 20.0, 50.0, 100.0]);
        assert!(Scale::of([f64::NAN].into_iter(), false).is_none());
        assert_eq!([0.5, 20.0, 20_000.0, 3e6].map(number), ["0.5", "20", "20k", "3M"]);
    }
}
