//! Errors of a configuration file, shown together, each with its place, its line and a remedy.

use std::fmt;

use crate::tree::Mark;

/// Why a configuration cannot be used. `Display` shows everything there is to know; it takes several lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read as text.
    #[error("error: cannot read {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The text is not a valid configuration.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl ConfigError {
    /// The single errors; none when the file could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid(invalid) => &invalid.problems,
        }
    }
}

/// All errors found in one file, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    file: String,
    problems: Vec<Problem>,
}

/// One error and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What would be right, when the message does not say it.
    pub help: Option<String>,
    /// Where.
    pub place: Option<Place>,
    /// Another place that has to do with it, and what.
    pub related: Option<(String, Place)>,
}

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters concerned, of an error that is shown only those on that line.
    pub length: usize,
    /// The line, cut when it is very long.
    snippet: String,
    /// Column of the place within the snippet, from 0.
    offset: usize,
}

/// Longest piece of a line shown, in characters.
const SNIPPET: usize = 120;
/// Most errors shown.
pub(crate) const SHOWN: usize = 50;

impl From<Mark> for Place {
    fn from(mark: Mark) -> Self {
        let wide = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            line: wide(mark.line),
            column: wide(mark.column),
            length: wide(mark.length),
            snippet: String::new(),
            offset: 0,
        }
    }
}

impl Place {
    /// Takes the snippet from `source`, the line of this place.
    fn quote(&mut self, source: &str) {
        let source = source.trim_start_matches('\u{feff}').trim_end();
        let width = source.chars().count();
        let at = self.column.saturating_sub(1);
        let start = if width <= SNIPPET {
            0
        } else {
            at.saturating_sub(SNIPPET / 2)
        };
        // Control characters (a tab among them) would move the caret or the terminal.
        self.snippet = source
            .chars()
            .skip(start)
            .take(SNIPPET)
            .map(|c| match c {
                '\t' => '→',
                c if c.is_control() => char::REPLACEMENT_CHARACTER,
                c => c,
            })
            .collect();
        self.offset = at - start;
        let room = width.min(start + SNIPPET).saturating_sub(at);
        self.length = self.length.min(room).max(1);
    }
}

impl Problem {
    /// A problem of which the first line says what is wrong and the others what would be right.
    pub(crate) fn new(text: impl Into<String>, place: Option<Place>) -> Self {
        let text = text.into();
        let (message, help) = match text.split_once('\n') {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (text, None),
        };
        Self {
            message,
            help,
            place,
            related: None,
        }
    }
}

impl Invalid {
    /// The errors of `file`, which holds `text`, sorted by place.
    pub(crate) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
        let lines: Vec<&str> = text.lines().collect();
        // Only those that will be seen: counting characters on long lines takes its time.
        for place in problems.iter_mut().take(SHOWN).filter_map(|p| p.place.as_mut()) {
            let line = place.line.checked_sub(1).and_then(|line| lines.get(line));
            place.quote(line.copied().unwrap_or_default());
        }
        Self {
            file: file.to_owned(),
            problems,
        }
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        for problem in self.problems.iter().take(SHOWN) {
            writeln!(f, "error: {}", problem.message)?;
            let line = problem.place.as_ref().map_or(0, |place| place.line).to_string();
            let margin = " ".repeat(line.len());
            match &problem.place {
                None => writeln!(f, "{margin}--> {file}")?,
                Some(Place {
                    column,
                    length,
                    snippet,
                    offset,
                    ..
                }) => {
                    writeln!(f, "{margin}--> {file}:{line}:{column}")?;
                    writeln!(f, "{margin} |")?;
                    writeln!(f, "{line} | {snippet}")?;
                    writeln!(f, "{margin} | {}{}", " ".repeat(*offset), "^".repeat(*length))?;
                }
            }
            if let Some(help) = &problem.help {
                writeln!(f, "{margin} = {help}")?;
            }
            if let Some((what, place)) = &problem.related {
                writeln!(f, "{margin} = {what} at {file}:{}:{}", place.line, place.column)?;
            }
            writeln!(f)?;
        }
        match self.problems.len() {
            1 => write!(f, "1 error in {file}"),
            n if n > SHOWN => write!(f, "{n} errors in {file}, the first {SHOWN} shown"),
            n => write!(f, "{n} errors in {file}"),
        }
    }
}
