//! From text to a valid configuration, or to all its errors.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::Path as FilePath;

use garde::Validate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Options};

use crate::check::{Finding, check};
use crate::config::Config;
use crate::error::{ConfigError, Invalid, Place, Problem};
use crate::file::ConfigFile;
use crate::path::Path;
use crate::reader::{Reader, Sink};
use crate::syntax;
use crate::tree::{Finder, Mark, Node};

/// Largest file read. A thousand times what 1000 instances need.
const MAX_FILE: u64 = 64 << 20;

/// Limits against documents that are small and unfold to something huge. Aliases and merge keys may be used freely, as
/// a file of many similar instances does, but what they unfold to is limited.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 5_000_000,
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
        // Numbers that are none, such as `.nan`, are a matter of the value they stand for.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// The text of a file that is no larger than a configuration may be.
///
/// # Errors
/// When the file cannot be read, is larger than 64 MiB or is not UTF-8.
pub fn read_text(path: &FilePath) -> Result<String, ConfigError> {
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
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
        unreadable(format!(
            "line {line} is not UTF-8: save the file in that encoding"
        ))
    })
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 64 MiB or is not a valid configuration.
    pub fn from_path(path: &FilePath) -> Result<Self, ConfigError> {
        Self::from_str(&path.display().to_string(), &read_text(path)?)
    }

    /// Reads and checks a text; `name` stands for the file in errors.
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    pub fn from_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        read(text).map_err(|problems| Invalid::new(name, text, problems).into())
    }
}

/// A valid configuration, or what is wrong.
fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let found = |file: Option<&ConfigFile>, _| match file {
        Some(file) => findings(file),
        None => findings(&ConfigFile::default()),
    };
    Ok(document(text, found)?.unwrap_or_default().into())
}

/// Parses once, reads the model from the tree, and checks what could be read by `findings`, which is told whether
/// nothing lacks: otherwise what is absent may just have been wrong, and what is found about absent things is left out.
/// `None` for an empty document.
pub(crate) fn document<T: DeserializeOwned>(
    text: &str,
    findings: impl FnOnce(Option<&T>, bool) -> Vec<Finding>,
) -> Result<Option<T>, Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(root) = parse(text, &mut problems) else {
        return Err(problems);
    };
    let sink = RefCell::new(Sink::default());
    let reader = Reader {
        node: &root,
        text,
        sink: &sink,
    };
    let file = Option::<T>::deserialize(reader);
    let sink = sink.into_inner();
    problems.extend(
        sink.found
            .into_iter()
            .map(|(message, at)| Problem::new(message, Some(at.into()))),
    );
    // A document that is wrong at its root has nothing more to say.
    let Ok(file) = file else {
        return Err(problems);
    };
    let mut finder = Finder::new(&root, &sink.failed);
    let mut place = |path: &Path| finder.find(path).map(Place::from);
    let complete = problems.is_empty();
    let found = findings(file.as_ref(), complete)
        .into_iter()
        .filter(|finding| complete || !finding.absence);
    problems.extend(found.map(|finding| {
        let mut problem = Problem::new(finding.message, place(&finding.path));
        problem.related = finding
            .related
            .and_then(|(what, path)| Some((what, place(&path)?)));
        problem
    }));
    if problems.is_empty() {
        Ok(file)
    } else {
        Err(problems)
    }
}

/// The tree of `text`, unless it is not YAML.
pub(crate) fn parse(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut note = |message: String, error: &Error| {
        let place = error.location().map(|location| Mark::from(location).into());
        problems.push(Problem::new(message, place));
    };
    let error = match Node::parse(text, options()) {
        Ok(root) => return Some(root),
        Err(error) => error,
    };
    let Error::DuplicateMappingKey { key, .. } = &error else {
        note(syntax::describe(&error), &error);
        return None;
    };
    let key = key.as_deref().unwrap_or("?");
    note(
        format!("the key `{key}` stands here twice\nremove one of the two"),
        &error,
    );
    let mut options = options();
    options.duplicate_keys = DuplicateKeyPolicy::FirstWins;
    Node::parse(text, options)
        .map_err(|error| note(syntax::describe(&error), &error))
        .ok()
}

/// What the rules and the checks across fields find in a document that may lack what could not be read.
fn findings(file: &ConfigFile) -> Vec<Finding> {
    let mut found = by_rules(file);
    found.extend(check(file));
    found
}

/// What the rules for single values find.
pub(crate) fn by_rules(file: &impl Validate<Context = ()>) -> Vec<Finding> {
    match file.validate() {
        Ok(()) => Vec::new(),
        Err(report) => report
            .iter()
            .map(|(path, error)| Finding::new(Path::parse(&path.to_string()), error.message()))
            .collect(),
    }
}
