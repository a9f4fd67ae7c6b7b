//! The file of the admin token.

use std::fmt;
use std::str::FromStr;

use crate::text::textual;

/// A file, or `none` for one in the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile(pub Option<String>);

impl TokenFile {
    const EXPECTED: &'static str = "the path of a file, or `none`";
}

impl FromStr for TokenFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("this names no file\nwrite its path, or `none` for the one in `state_dir`".to_owned()),
            "none" => Ok(Self(None)),
            path => Ok(Self(Some(path.to_owned()))),
        }
    }
}

impl fmt::Display for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("none"))
    }
}

impl From<TokenFile> for Option<String> {
    fn from(file: TokenFile) -> Self {
        file.0
    }
}

impl From<Option<String>> for TokenFile {
    fn from(path: Option<String>) -> Self {
        Self(path)
    }
}

textual!(TokenFile, "string", "minLength": 1, "x-expects": "path or `none`");
