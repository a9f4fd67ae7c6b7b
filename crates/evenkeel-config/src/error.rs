//! Errors of a configuration file, shown together, each with its place, its line and a remedy.

use std::fmt;

use serde_saphyr::Location;

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
    /// Characters concerned, on that line.
    pub length: usize,
    /// The line, cut when it is very long.
    snippet: String,
    /// Column of the place within the snippet, from 0.
    offset: usize,
}

/// Longest piece of a line shown, in characters.
const SNIPPET: usize = 120;
/// Most errors shown.
const SHOWN: usize = 50;

/// The text of a file, by lines.
pub(crate) struct Source<'t> {
    pub(crate) text: &'t str,
    lines: Vec<&'t str>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            lines: text.lines().collect(),
        }
    }

    /// The place the parser calls `location`.
    pub(crate) fn place(&self, location: Location) -> Option<Place> {
        let (line, column) = (
            usize::try_from(location.line()).ok()?,
            usize::try_from(location.column()).ok()?,
        );
        let length = usize::try_from(location.span().len()).unwrap_or(1);
        let source = self.lines.get(line.checked_sub(1)?).copied().unwrap_or_default();
        Some(Place::new(
            source.trim_start_matches('\u{feff}'),
            line,
            column,
            length,
        ))
    }
}

impl Place {
    /// The place at `column` of the line `source`, `length` characters long but not beyond the line.
    fn new(source: &str, line: usize, column: usize, length: usize) -> Self {
        let width = source.trim_end().chars().count();
        let at = column.saturating_sub(1);
        let start = if width <= SNIPPET {
            0
        } else {
            at.saturating_sub(SNIPPET / 2)
        };
        // Control characters (a tab among them) would move the caret or the terminal.
        let snippet: String = source
            .trim_end()
            .chars()
            .skip(start)
            .take(SNIPPET)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let room = width.min(start + SNIPPET).saturating_sub(at);
        Self {
            line,
            column,
            length: length.min(room).max(1),
            snippet,
            offset: at - start,
        }
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
    /// The errors of `file`, sorted by place.
    pub(crate) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
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
