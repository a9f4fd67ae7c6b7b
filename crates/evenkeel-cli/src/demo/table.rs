//! The picture in the terminal: a table of the instances, what clients see, and how far it is.

use std::time::Duration;

use evenkeel_core::InstanceState;
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};

use super::board::{Clients, Frame, News, RECENT, Row, Source};
use super::{SITES, script, text};

/// Lines of the picture.
pub(super) const HEIGHT: u16 = script::INSTANCES as u16 + 6 + SITES as u16;
/// Columns of the table: it fits the usual 80.
pub(super) const WIDTH: u16 = 79;
/// Columns of a bar, and the share that fills it.
const BAR: usize = 10;
const FULL_SHARE: f64 = 0.3;
/// Columns of the line that shows progress.
const PROGRESS: usize = 20;

/// The picture of a moment.
pub(super) fn picture(frame: &Frame) -> Vec<Line<'static>> {
    let mut lines = Vec::with_capacity(usize::from(HEIGHT));
    lines.push(Line::default());
    let head = format!(
        "{:<13}{:<8}{:>5}  {:<17}{:>10}{:>8}{:>8}{:>8}",
        frame.clients[0].strategy.as_str(),
        "state",
        "score",
        format!("share of last {}", text::seconds(RECENT)),
        "in flight",
        "p50",
        "p99",
        "errors",
    );
    lines.push(Line::from(head).bold());
    lines.extend(frame.rows.iter().map(row));
    lines.push(Line::default());
    let head = format!(
        "{:<18}{:>8}{:>9}{:>9}{:>11}{:>8}{:>8}",
        "clients of", "requests", "errors", "", "in flight", "p50", "p99"
    );
    lines.push(Line::from(head).bold());
    let mut rows = frame.clients.iter().map(|of| Line::from(clients(of)));
    lines.extend(rows.next());
    lines.extend(rows.map(Line::dim));
    lines.push(Line::default());
    lines.push(progress(frame));
    lines
}

fn row(row: &Row) -> Line<'static> {
    let (state, style) = match row.state {
        InstanceState::Healthy => (row.state.as_str(), Style::new().fg(Color::Green)),
        _ => (row.state.as_str(), Style::new().fg(Color::Red)),
    };
    let (picks, of) = row.picks;
    let share = if of == 0 { 0.0 } else { picks as f64 / of as f64 };
    let bar = bar(share / FULL_SHARE, BAR);
    let score = if row.score < 0.9 {
        Style::new().fg(Color::Yellow)
    } else {
        Style::new()
    };
    Line::from(vec![
        Span::from(format!("{:<13}", row.name)),
        Span::styled(format!("{state:<8}"), style),
        Span::styled(format!("{:>5.2}  ", row.score), score),
        Span::styled(bar, Style::new().fg(Color::Cyan)),
        Span::from(format!(
            "{:>7}{:>10}{:>8}{:>8}{:>8}",
            text::percent(picks, of, 1),
            row.in_flight,
            text::time_or_dash(row.p50),
            text::time_or_dash(row.p99),
            row.errors,
        )),
    ])
}

fn clients(clients: &Clients) -> String {
    format!(
        "{:<18}{:>8}{:>9}{:>9}{:>11}{:>8}{:>8}",
        clients.strategy.as_str(),
        clients.requests,
        clients.errors,
        text::percent(clients.errors, clients.requests, 2),
        clients.in_flight,
        text::time_or_dash(clients.p50),
        text::time_or_dash(clients.p99),
    )
}

fn progress(frame: &Frame) -> Line<'static> {
    let part = frame.elapsed.as_secs_f64() / frame.duration.as_secs_f64();
    let elapsed = Duration::from_secs(frame.elapsed.min(frame.duration).as_secs());
    let gone = bar(part, PROGRESS);
    let full = gone.trim_end();
    let track = "─".repeat(PROGRESS - full.chars().count());
    let mut line = vec![
        Span::styled(full.to_owned(), Style::new().fg(Color::Blue)),
        Span::from(track).dim(),
        Span::from(format!(
            " {} of {}  ",
            text::seconds(elapsed),
            text::seconds(frame.duration)
        )),
        Span::from(frame.activity()).bold(),
    ];
    if part < 1.0 {
        line.push(Span::from("  (q ends it)").dim());
    }
    Line::from(line)
}

/// A bar `part` full, in steps of half a column.
fn bar(part: f64, columns: usize) -> String {
    let halves = (part.clamp(0.0, 1.0) * (2 * columns) as f64).round() as usize;
    let mut bar = "━".repeat(halves / 2);
    if halves % 2 == 1 {
        bar.push('╸');
    }
    bar + &" ".repeat(columns - halves.div_ceil(2))
}

/// One line of what happened.
pub(super) fn news(news: &News) -> Line<'static> {
    use evenkeel_core::EventKind::{CheckedUp, FallbackEnded, Returned};
    let style = match news.source {
        Source::Script => Style::new().add_modifier(Modifier::DIM),
        Source::Balancer(CheckedUp | FallbackEnded | Returned) => Style::new().fg(Color::Green),
        Source::Balancer(_) => Style::new().fg(Color::Red),
    };
    Line::styled(news.line(), style)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use evenkeel_core::EventKind;

    use super::super::board::sample::frame;
    use super::*;

    fn lines(elapsed: u64) -> Vec<String> {
        picture(&frame(elapsed)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_picture_fits_and_its_columns_are_aligned() {
        let lines = lines(12);
        assert_eq!(lines.len(), usize::from(HEIGHT));
        let widths: Vec<_> = lines.iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|w| *w <= usize::from(WIDTH)), "{widths:?}");
        assert!(widths[1..8].iter().all(|w| *w == widths[1]), "{widths:?}");
        assert!(widths[9..12].iter().all(|w| *w == widths[9]), "{widths:?}");
        assert_eq!(
            lines[5],
            "web-4        ejected  1.00  ━━━━━      15.0 %         3  5.3 ms       -       7"
        );
    }

    #[test]
    fn progress_says_what_goes_on_and_what_it_waits_for() {
        let last = |elapsed| lines(elapsed).pop().unwrap_or_default();
        assert!(last(12).contains(" 12 s of 30 s  web-4 fails fast  (q ends it)"));
        assert!(last(31).ends_with(" 30 s of 30 s  waiting for the last 37035 requests"));
    }

    #[test]
    fn bars_grow_by_half_columns() {
        assert_eq!(bar(0.0, 4), "    ");
        assert_eq!(bar(0.13, 4), "╸   ");
        assert_eq!(bar(0.5, 4), "━━  ");
        assert_eq!(bar(7.0, 4), "━━━━");
    }

    #[test]
    fn news_of_the_script_are_marked() {
        let mut one = News {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(9 * 3600 + 14 * 60 + 3),
            text: "web-4 ejected: 5 requests failed in a row".to_owned(),
            source: Source::Balancer(EventKind::Ejected),
        };
        assert_eq!(
            news(&one).to_string(),
            "09:14:03 web-4 ejected: 5 requests failed in a row"
        );
        one.source = Source::Script;
        assert!(news(&one).to_string().starts_with("09:14:03 script: web-4"));
    }
}
