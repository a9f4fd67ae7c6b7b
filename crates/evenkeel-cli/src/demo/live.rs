//! The demo in a terminal: a picture repainted in place, what happened scrolling away above it.
//!
//! The terminal is given back when [`Live`] is dropped, and by a panic hook when this process panics
//! anywhere, so that the message can be read.

use std::io::{self, Stdout, Write as _};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::text::Text;
use ratatui::widgets::{Paragraph, Widget as _, Wrap};
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::board::{Frame, News};
use super::table;

/// Lines above the picture below which it is not worth it.
const ROOM: u16 = 4;

/// A terminal taken over.
pub(super) struct Live {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    _restore: Restore,
}

impl Live {
    /// Takes the terminal; `None` when the picture does not fit it.
    pub(super) fn new() -> io::Result<Option<Self>> {
        let (columns, lines) = terminal::size()?;
        if columns < table::WIDTH || lines < table::HEIGHT + ROOM {
            return Ok(None);
        }
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            below(terminal::size().map_or(0, |size| size.1));
            hook(panic);
        }));
        // Otherwise what is typed would be echoed into the picture.
        terminal::enable_raw_mode()?;
        let restore = Restore;
        let options = TerminalOptions {
            viewport: Viewport::Inline(table::HEIGHT),
        };
        let terminal = Terminal::with_options(CrosstermBackend::new(io::stdout()), options)?;
        Ok(Some(Self {
            terminal,
            _restore: restore,
        }))
    }

    pub(super) fn news(&mut self, news: &News) -> io::Result<()> {
        let text = Paragraph::new(Text::from(table::news(news))).wrap(Wrap { trim: false });
        let columns = self.terminal.size()?.width.max(1);
        let lines = news.line().chars().count().div_ceil(usize::from(columns));
        let lines = u16::try_from(lines).unwrap_or(u16::MAX);
        self.terminal
            .insert_before(lines, |buffer| text.render(buffer.area, buffer))
    }

    pub(super) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        let picture = Paragraph::new(table::picture(frame));
        self.terminal
            .draw(|canvas| canvas.render_widget(picture, canvas.area()))?;
        Ok(())
    }

    /// Whether a key was pressed that means the end. Does not wait; without a keyboard there is none.
    pub(super) fn wants_end(&self) -> bool {
        while let Ok(true) = event::poll(Duration::ZERO) {
            match event::read() {
                Ok(Event::Key(key)) if is_end(key) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

fn is_end(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c' | 'd') => key.modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q') | KeyCode::Esc => true,
        _ => false,
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The last picture stays, and so does a panic's message.
        if !std::thread::panicking() {
            below(self.terminal.get_frame().area().bottom().saturating_sub(1));
        }
    }
}

/// Gives the terminal back when dropped.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stdout(), cursor::Show);
}

/// Goes on below `line`. Errors have nobody left to be told.
fn below(line: u16) {
    let _ = execute!(io::stdout(), cursor::MoveTo(0, line));
    let _ = io::stdout().write_all(b"\r\n");
}
