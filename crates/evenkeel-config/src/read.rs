//! From text to a valid configuration, or to all its errors.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::Path as FilePath;

use garde::Validate;
use serde::Deserialize;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Options, with_deserializer_from_str_with_options};

use crate::check::{Finding, check};
use crate::config::Config;
use crate::error::{ConfigError, Invalid, Problem, Source};
use crate::file::ConfigFile;
use crate::locate::locate;
use crate::names::nearest;
use crate::path::{Path, Step};
use crate::tolerant::{Failure, Sink, Tolerant, Unknown};

/// Largest file read. A thousand times what 1000 instances need.
const MAX_FILE: u64 = 64 << 20;
/// Values that fail before the reader stops looking for more; each costs a pass over the text.
const MAX_FAILURES: usize = 50;

/// Limits against documents that are small and unfold to something huge. Aliases and merge keys may be used freely, as
/// a file of many similar instances does, but what they unfold to is limited.
pub(crate) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_aliases: 200_000,
            max_merge_keys: 200_000,
            max_depth: 32,
            flow_nesting_limit: 32,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 2_000_000,
            max_replay_stack_depth: 16,
        },
        strict_booleans: true,
        with_snippet: false,
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 64 MiB or is not a valid configuration.
    pub fn from_path(path: &FilePath) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let unreadable = |reason: String| ConfigError::Unreadable {
            file: file.clone(),
            reason,
        };
        let io = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => unreadable("no such file".to_owned()),
            std::io::ErrorKind::PermissionDenied => {
                unreadable("permission denied: make it readable for the user that runs evenkeel".to_owned())
            }
            std::io::ErrorKind::IsADirectory => unreadable("it is a directory: name a file in it".to_owned()),
            _ => unreadable(error.to_string()),
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .map_err(io)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(unreadable(format!(
                "it is larger than {} MiB, too large for a configuration",
                MAX_FILE >> 20
            )));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::from_str(&file, text),
            Err(error) => {
                let valid = &bytes[..error.valid_up_to()];
                let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
                Err(unreadable(format!(
                    "line {line} is not UTF-8: save the file in that encoding"
                )))
            }
        }
    }

    /// Reads and checks a text; `name` stands for the file in errors.
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    pub fn from_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        Reading::new(text)
            .finish()
            .map_err(|problems| Invalid::new(name, problems).into())
    }
}

/// A document being read, pass by pass.
struct Reading<'t> {
    source: Source<'t>,
    options: Options,
    sink: Sink,
    problems: Vec<Problem>,
    /// Missing keys. Kept apart: where the text breaks off, everything after is missing.
    missing: Vec<Problem>,
}

impl<'t> Reading<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            source: Source::new(text),
            options: options(),
            sink: Sink::default(),
            problems: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Reads until there is nothing more to find.
    fn finish(mut self) -> Result<Config, Vec<Problem>> {
        loop {
            let pass = RefCell::new(self.sink.next_pass());
            let options = self.options.clone();
            let result = with_deserializer_from_str_with_options(self.source.text, options, |yaml| {
                Option::<ConfigFile>::deserialize(Tolerant::new(yaml, &pass))
            });
            self.sink = pass.into_inner();
            match result {
                Ok(file) => {
                    let file = file.unwrap_or_default();
                    self.problems.append(&mut self.missing);
                    let complete = self.problems.is_empty() && self.sink.unknown.is_empty();
                    self.problems
                        .extend(findings(&self.source, &file, &self.sink, complete));
                    let problems = self.into_problems();
                    return if problems.is_empty() {
                        Ok(file.into())
                    } else {
                        Err(problems)
                    };
                }
                Err(error) if !self.note(&error) => return Err(self.into_problems()),
                Err(_) if self.problems.len() + self.missing.len() >= MAX_FAILURES => {
                    self.problems.append(&mut self.missing);
                    return Err(self.into_problems());
                }
                Err(_) => {}
            }
        }
    }

    fn into_problems(self) -> Vec<Problem> {
        let Self {
            source,
            sink,
            mut problems,
            ..
        } = self;
        problems.extend(sink.unknown.values().map(|unknown| {
            Problem::new(
                unknown_text(&unknown.key, unknown.known),
                source.place(unknown.location),
            )
        }));
        problems
    }

    /// Notes the error that ended a pass. Whether another pass can find more.
    fn note(&mut self, error: &Error) -> bool {
        let failure = self.sink.failure.take();
        let place = error.location().and_then(|location| self.source.place(location));
        if let Error::DuplicateMappingKey { key, .. } = error {
            let key = key.as_deref().unwrap_or("?");
            self.problems.push(Problem::new(
                format!("the key `{key}` stands here twice\nremove one of the two"),
                place,
            ));
            let again = matches!(self.options.duplicate_keys, DuplicateKeyPolicy::Error);
            self.options.duplicate_keys = DuplicateKeyPolicy::FirstWins;
            return again;
        }
        let described =
            failure.and_then(|failure| describe(error, &failure).map(|message| (failure, message)));
        let Some((failure, message)) = described else {
            self.problems.push(Problem::new(syntax(error), place));
            return false;
        };
        if !matches!(error, Error::SerdeMissingField { .. }) {
            self.problems.push(Problem::new(message, place));
        } else if !follows(error, &failure, &self.sink) {
            // The parser would place what is missing at the last key it read.
            let container = locate(self.source.text, &[&failure.path]).pop().flatten();
            self.missing.push(Problem::new(
                message,
                container.and_then(|at| self.source.place(at)).or(place),
            ));
        }
        // A document that is wrong at its root has nothing more to say.
        !failure.path.0.is_empty() && self.sink.skip.insert(failure.path)
    }
}

/// What is wrong with a value; nothing when it is the text around it that is not YAML.
fn describe(error: &Error, failure: &Failure) -> Option<String> {
    Some(match error {
        Error::AliasError { error, .. } => return describe(error, failure),
        Error::Message { msg, .. } => msg.clone(),
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing here"),
        Error::SerdeUnknownField { field, expected, .. } => unknown_text(field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            let known: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
            format!("`{variant}` is not possible here\nwrite {}", known.join(" or "))
        }
        Error::Unexpected { .. }
        | Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::NonFiniteFloat { .. }
        | Error::NullIntoString { .. }
        | Error::UnexpectedValueForUnit { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::TaggedEnumMismatch { .. }
        | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | Error::UnexpectedValueForUnitEnumVariant { .. }
        | Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::SerdeInvalidLength { .. } => {
            let expected = match failure.expected.as_str() {
                "a string" => "text",
                "a sequence" => "a list",
                "a map" => "a mapping",
                other => other,
            };
            format!("wrong kind of value\nwrite {expected}")
        }
        _ => return None,
    })
}

/// Whether a missing key follows from an error already reported: it is there, but wrong or mistyped.
fn follows(error: &Error, failure: &Failure, sink: &Sink) -> bool {
    let Error::SerdeMissingField { field, .. } = error else {
        return false;
    };
    let mistyped =
        |unknown: &Unknown| unknown.path == failure.path && nearest(&unknown.key, &[*field]).is_some();
    sink.skip.contains(&failure.path.then(*field)) || sink.unknown.values().any(mistyped)
}

/// The parser's own words, for text that is not YAML or too much of it.
fn syntax(error: &Error) -> String {
    let words = match error {
        Error::AliasError { error, .. } => return syntax(error),
        Error::ExternalMessage { msg, .. } => format!("this is not YAML: {msg}"),
        Error::MultipleDocuments { .. } => "a second document starts here\nremove the `---`: a configuration is one document".to_owned(),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => "the document is nested too deep".to_owned(),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            "the document has, or unfolds through aliases to, more than a configuration needs\nwrite fewer aliases of aliases".to_owned()
        }
        other => other.without_snippet().to_string(),
    };
    words.trim_end().to_owned()
}

fn unknown_text(key: &str, known: &[&str]) -> String {
    let guess = nearest(key, known)
        .map(|name| format!(": did you mean `{name}`?"))
        .unwrap_or_default();
    let mut known = known.to_vec();
    known.sort_unstable();
    format!("unknown key `{key}`{guess}\nallowed here: {}", known.join(", "))
}

/// What the rules and the checks across fields find in a document that may lack what could not be read. `complete` says
/// that nothing lacks: otherwise what is absent may just have been mistyped.
fn findings(source: &Source<'_>, file: &ConfigFile, sink: &Sink, complete: bool) -> Vec<Problem> {
    let mut found: Vec<Finding> = match file.validate() {
        Ok(()) => Vec::new(),
        Err(report) => report
            .iter()
            .map(|(path, error)| Finding::new(Path::parse(&path.to_string()), error.message()))
            .collect(),
    };
    found.extend(
        check(file)
            .into_iter()
            .filter(|finding| complete || !finding.absence),
    );
    let paths: Vec<Path> = found
        .iter()
        .flat_map(|finding| {
            [
                Some(&finding.path),
                finding.related.as_ref().map(|(_, path)| path),
            ]
        })
        .flatten()
        .map(|path| in_document(path, sink))
        .collect();
    let mut places = locate(source.text, &paths.iter().collect::<Vec<_>>())
        .into_iter()
        .map(|found| found.and_then(|l| source.place(l)));
    found
        .into_iter()
        .map(|finding| {
            let mut problem = Problem::new(finding.message, places.next().flatten());
            problem.related = finding
                .related
                .and_then(|(what, _)| Some((what, places.next().flatten()?)));
            problem
        })
        .collect()
}

/// A path in the document for a path in what was read, where elements left out are not counted.
fn in_document(path: &Path, sink: &Sink) -> Path {
    let mut result = Path::default();
    for step in &path.0 {
        let step = match step {
            Step::Key(_) => step.clone(),
            Step::Index(index) => {
                let mut kept =
                    (0..).filter(|i| sink.skip.is_empty() || !sink.skip.contains(&result.then(*i)));
                Step::Index(kept.nth(*index).unwrap_or(*index))
            }
        };
        result.0.push(step);
    }
    result
}
