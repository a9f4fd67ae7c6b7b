//! The secret that whoever changes something must know.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

/// The shortest token, in bytes: nobody guesses 128 bits, however they are written.
const SHORTEST: usize = 16;
/// The longest: a larger file was not meant, and a larger header is not read.
const LONGEST: usize = 4096;
/// Random bytes in a token made here; written with two digits each.
const RANDOM: usize = 32;
/// Its name in the state directory.
const FILE: &str = "admin-token";

/// A bearer token. Not shown anywhere, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why there is no token. The text names the file and the remedy, and never what is in it.
#[derive(Debug, thiserror::Error)]
#[error("admin token {}: {what}", path.display())]
pub struct TokenError {
    path: PathBuf,
    what: String,
}

impl Token {
    /// Takes a token as it is sent.
    ///
    /// # Errors
    /// Says what is wrong with it, in words that do not show it.
    pub fn new(text: &str) -> Result<Self, String> {
        let length = text.len();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(format!(
                "{length} bytes; make it {SHORTEST} to {LONGEST}, with `openssl rand -hex 32`"
            ));
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(
                "it holds white space or other characters that a header cannot; make one with \
                 `openssl rand -hex 32`"
                    .to_owned(),
            );
        }
        Ok(Self(text.as_bytes().into()))
    }

    /// Whether `given` is this token. The time it takes depends on the length of `given` alone.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }

    /// Reads a token; white space at the end, such as an editor's line end, is no part of it.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let wrong = |what| TokenError {
            path: path.to_owned(),
            what,
        };
        let unreadable =
            |error: io::Error| wrong(format!("{error}; put a token there that this user can read"));
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        warn_when_open_to_others(path, &file);
        file.take(LONGEST as u64 + 2)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::new(text.trim_ascii_end()).map_err(wrong)
    }

    /// The token in `directory`, made there when there is none. The directory is made too, for this user alone. Two
    /// processes that start at once agree on one.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn find_or_make(directory: &Path) -> Result<(Self, PathBuf), TokenError> {
        let path = secret_file(directory, FILE).map_err(|error| TokenError {
            what: format!(
                "cannot be made: {error}; set `state_dir` to a directory that this user can write, or \
                 `admin: {{ token_file: FILE }}`"
            ),
            path: directory.join(FILE),
        })?;
        Ok((Self::read(&path)?, path))
    }
}

/// The file `name` in `directory`; where it is missing, one with a line of random digits that this user alone can read.
/// The directory is made too, for this user alone. Processes that start at once agree on one.
///
/// # Errors
/// When it cannot be made.
pub fn secret_file(directory: &Path, name: &str) -> io::Result<PathBuf> {
    let path = directory.join(name);
    match fs::exists(&path) {
        Ok(true) => {}
        _ => make(directory, &path)?,
    }
    Ok(path)
}

/// Writes a new secret beside `path`, whole, and gives it that name unless somebody else was faster.
fn make(directory: &Path, path: &Path) -> io::Result<()> {
    make_directory(directory)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", random::<8>()?));
    let draft = PathBuf::from(draft);
    let text = format!("{}\n", random::<RANDOM>()?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let named = written.and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match named {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// `N` random bytes as text.
fn random<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A token that others can read is one that they have.
fn warn_when_open_to_others(path: &Path, file: &File) {
    #[cfg(unix)]
    if let Ok(metadata) = file.metadata() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                file = %path.display(),
                "the admin token can be read by others (mode {mode:o}): `chmod 600` it, and replace it if they may have"
            );
        }
    }
    #[cfg(not(unix))]
    let _ = (path, file);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, gone with the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("evenkeel-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_token_is_made_once_and_for_this_user_alone() {
        let directory = Directory::new("token-made");
        let state = directory.0.join("a/b");
        let (token, path) = Token::find_or_make(&state).unwrap();
        assert_eq!(path, state.join("admin-token"));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim_end().len(), 2 * RANDOM);
        assert!(token.is(text.trim_end().as_bytes()));
        assert_eq!(
            Token::find_or_make(&state).unwrap().0,
            token,
            "the second start has the same"
        );
        assert_eq!(
            fs::read_dir(&state).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&state)), (0o600, 0o700));
        }
        let other = Directory::new("token-other");
        assert_ne!(Token::find_or_make(&other.0).unwrap().0, token);
    }

    #[test]
    fn starts_at_once_agree_on_one() {
        let directory = Directory::new("token-race");
        let tokens: Vec<Token> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Token::find_or_make(&directory.0)))
                .collect();
            let made = starts.into_iter().map(|start| start.join().unwrap().unwrap());
            made.map(|(token, _)| token).collect()
        });
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        let directory = Directory::new("token-bad");
        fs::create_dir_all(&directory.0).unwrap();
        let path = directory.0.join("file");
        for bad in [
            "",
            "\n",
            "short-hunter2\n",
            "a token with spaces in it",
            "tökens-sind-ascii",
        ] {
            fs::write(&path, bad).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert!(error.contains("openssl"), "{bad:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        fs::write(&path, "x".repeat(LONGEST + 1)).unwrap();
        assert!(Token::read(&path).is_err());
        let missing = Token::read(&directory.0.join("none")).unwrap_err().to_string();
        assert!(missing.contains("none: No such file"), "{missing}");
        let token = Token::new("0123456789abcdef").unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(token.is(b"0123456789abcdef"));
        for other in [
            &b"0123456789abcdeg"[..],
            b"0123456789abcde",
            b"0123456789abcdef0",
            b"",
        ] {
            assert!(!token.is(other));
        }
    }
}
