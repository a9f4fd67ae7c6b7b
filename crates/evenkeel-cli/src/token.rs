//! The admin token: read from the file that the configuration names, or made in the state directory. And where that is.

use std::env;
use std::path::{Path, PathBuf};

use evenkeel_admin::Token;
use evenkeel_config::Config;

use crate::exit::Failed;

/// The token of this process. `None` when there is none and none can be made: whoever runs Evenkeel without a place
/// to write to can still do everything but change it through the API, and the log says so.
pub(crate) fn of(config: &Config) -> Result<Option<Token>, Failed> {
    if let Some(path) = &config.admin.token_file {
        let token = Token::read(Path::new(path)).map_err(Failed::input)?;
        tracing::info!(token_file = path, "the admin API takes changes with this token");
        return Ok(Some(token));
    }
    let Some(directory) = state_dir(config) else {
        tracing::warn!(
            "the admin API takes no changes: there is no token, and no directory to make one in; set `state_dir`, or \
             `admin: {{ token_file: FILE }}`"
        );
        return Ok(None);
    };
    match Token::find_or_make(&directory) {
        Ok((token, path)) => {
            tracing::info!(token_file = %path.display(), "the admin API takes changes with this token");
            Ok(Some(token))
        }
        // Who set the directory wants it; the default is only a guess.
        Err(error) if config.state_dir.is_some() => Err(Failed::start(error)),
        Err(error) => {
            tracing::warn!("the admin API takes no changes: {error}");
            Ok(None)
        }
    }
}

/// Where the configuration says, else where the XDG base directories say.
pub(crate) fn state_dir(config: &Config) -> Option<PathBuf> {
    if let Some(directory) = &config.state_dir {
        return Some(directory.into());
    }
    // A relative path there means nothing, says the specification.
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("evenkeel"))
}
