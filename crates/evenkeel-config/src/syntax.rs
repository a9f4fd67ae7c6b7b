//! Errors of the YAML parser, with a remedy for each.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

/// What is wrong with a text that is not YAML, or too much of it.
pub(crate) fn describe(error: &Error) -> String {
    let text = match error {
        Error::AliasError { error, .. } => return describe(error),
        Error::ExternalMessage { msg, .. } => {
            return format!("this is not YAML: {}\n{}", msg.trim_end(), remedy(msg));
        }
        Error::MultipleDocuments { .. } => {
            "a second document starts here\nremove the `---`: a configuration is one document"
        }
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => "the document is nested too deep\nno key of a configuration needs more than a few levels",
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the document has, or unfolds through aliases to, more than a configuration needs\nwrite fewer aliases of aliases"
        }
        Error::UnknownAnchor { .. } => {
            "this alias has no anchor before it\nname the anchor with `&`, or put text that begins with `*` in quotes"
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "this alias stands inside its own anchor\nmove it out, or write the value in full"
        }
        Error::Unexpected { .. } => "this key is not text\nwrite each key as text, without brackets",
        Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            "this value does not fit its tag\nremove the tag, the word that begins with `!`"
        }
        other => {
            let words = other.without_snippet().to_string();
            return format!(
                "this is not YAML as a configuration uses it: {}\n{ANY}",
                words.trim_end()
            );
        }
    };
    text.to_owned()
}

const ANY: &str = "look at the indentation, quotes and brackets here and on the line before";

/// What helps against what the parser says, by words it has used for many versions; a general hint otherwise.
fn remedy(words: &str) -> &'static str {
    let known = [
        ("tabs", "indent with spaces"),
        ("unclosed bracket", "close it"),
        (
            "misplaced bracket",
            "remove it, or put text that begins with a bracket in quotes",
        ),
        (
            "quoted scalar",
            "close the quote; in double quotes, write `\\\\` for a backslash",
        ),
        ("unexpected character", "put the text in single quotes"),
        (
            "mapping values",
            "put text with a colon in quotes, and give the keys of one mapping the same indentation",
        ),
        (
            "expected '-'",
            "begin each element of the list with `- `, all at the same indentation",
        ),
        ("expected ','", "put a `,` between entries, and close the bracket"),
    ];
    known
        .iter()
        .find(|(part, _)| words.contains(part))
        .map_or(ANY, |(_, remedy)| remedy)
}
