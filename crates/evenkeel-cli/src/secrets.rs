//! Secrets that key the hashes and the sessions of services, from their files, at start and on every reload. That of
//! sessions is made in the state directory where the configuration names none.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use evenkeel_admin::secret_file;
use evenkeel_config::{Config, Service};
use evenkeel_core::{HashKeys, HashSecret, Nanos, Rotation};

use crate::exit::Failed;
use crate::token::state_dir;

/// The shortest secret, in bytes: what the key of the hash is made of should not be less than the key.
const SHORTEST: usize = 16;
/// The longest: a larger file was not meant.
const LONGEST: u64 = 4096;

/// That of sessions in the state directory.
const FILE: &str = "session-secret";

/// A secret. Not shown anywhere.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The secrets of a service.
pub(crate) struct Secrets {
    /// Key the hash of its strategy; `None` without a file.
    pub(crate) hash: Option<HashKeys>,
    /// Keys the cookies of its sessions; `None` when they do not stick.
    pub(crate) session: Option<Secret>,
    /// Why its sessions end with this process, if they do.
    pub(crate) short: Option<String>,
}

/// The time, by the clock of the balancer and by that of files.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) here: Nanos,
    pub(crate) file: SystemTime,
}

/// The secrets of each service, in the order of the configuration.
pub(crate) fn read(config: &Config, now: Now) -> Result<Vec<Secrets>, Failed> {
    let own = OnceCell::new();
    let services = config.services.iter();
    services
        .map(|service| {
            let hash = service.strategy.hashing().hash_secret_file.as_deref();
            let hash = hash.map(|path| hash_keys(service, path, now)).transpose()?;
            let (session, short) = match &service.sticky {
                None => (None, None),
                Some(sticky) => match &sticky.secret_file {
                    Some(path) => (
                        Some(Secret(of_file(service, "sticky.secret_file", path)?.0)),
                        None,
                    ),
                    None => {
                        // Once for all services that need it, and not at all when none does.
                        if own.get().is_none() {
                            let _ = own.set(of_state(config)?);
                        }
                        own.get()
                            .cloned()
                            .map_or((None, None), |(secret, short)| (Some(secret), short))
                    }
                },
            };
            Ok(Secrets { hash, session, short })
        })
        .collect()
}

/// The secret in the state directory, made there if there is none; else one that this process alone has, and why.
fn of_state(config: &Config) -> Result<(Secret, Option<String>), Failed> {
    let Some(directory) = state_dir(config) else {
        let why = "there is no directory to keep their secret in".to_owned();
        return Ok((of_process()?, Some(why)));
    };
    let made = secret_file(&directory, FILE).map_err(|error| format!("cannot be made: {error}"));
    match made.and_then(|path| content(&path)) {
        Ok((bytes, _)) => Ok((Secret(bytes), None)),
        Err(what) => {
            let why = format!("{}: {what}", directory.join(FILE).display());
            // Who set the directory wants it; the default is only a guess.
            if config.state_dir.is_some() {
                let remedy = "set `state_dir` to a directory that this user can write, or `sticky: { secret_file: FILE }`";
                return Err(Failed::start(format!("session secret {why}; {remedy}")));
            }
            Ok((of_process()?, Some(why)))
        }
    }
}

/// What the first line keys, and how it takes over from the second if there is one.
fn hash_keys(service: &Service, path: &str, now: Now) -> Result<HashKeys, Failed> {
    const KEY: &str = "hash_secret_file";
    let (bytes, written) = of_file(service, KEY, path)?;
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut next = |which| {
        let line = lines.next()?;
        let wrong = |what: String| wrong(service, KEY, path, &format!("{which} line: {what}"));
        Some(
            long_enough(line)
                .map_err(wrong)
                .map(|()| HashSecret::new(Some(line), &service.name)),
        )
    };
    let (secret, before) = (next("first").transpose()?, next("second").transpose()?);
    if lines.next().is_some() {
        let what = "more than two lines; write the secret in the first and, while it is replaced, the former in the second";
        return Err(wrong(service, KEY, path, what));
    }
    let lasts = service.strategy.hashing().secret_rotation();
    // A file from the future was written just now.
    let passed = now.file.duration_since(written).unwrap_or_default();
    let left = lasts.saturating_sub(passed);
    let rotation = before.filter(|_| !left.is_zero()).map(|from| Rotation {
        from,
        ends: now.here + left.into(),
        lasts: lasts.into(),
    });
    if rotation.is_some() {
        tracing::info!(service = %service.name, file = path, "keys move from the former secret to the new one for another {left:.0?}");
    } else if before.is_some() {
        tracing::info!(service = %service.name, file = path, "all keys have moved to the new secret: the second line can go");
    }
    Ok(HashKeys {
        secret: secret.unwrap_or_default(),
        rotation,
    })
}

fn wrong(service: &Service, key: &str, path: &str, what: &str) -> Failed {
    Failed::input(format!("service {}: {key} {path}: {what}", service.name))
}

fn long_enough(secret: &[u8]) -> Result<(), String> {
    match secret.len() {
        SHORTEST.. => Ok(()),
        length => Err(format!(
            "{length} bytes; make it at least {SHORTEST}, with `openssl rand -hex 16`"
        )),
    }
}

/// What is in a file that a service names, and when it was written.
fn of_file(service: &Service, key: &str, path: &str) -> Result<(Vec<u8>, SystemTime), Failed> {
    content(Path::new(path)).map_err(|what| wrong(service, key, path, &what))
}

/// What is in a file of a secret, and when it was written.
fn content(path: &Path) -> Result<(Vec<u8>, SystemTime), String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let written = file.metadata()?.modified()?;
        file.take(LONGEST + 1).read_to_end(&mut bytes)?;
        Ok(written)
    });
    let written = read.map_err(|error| format!("{error}; put a secret there that this user can read"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("more than {LONGEST} bytes; a secret is shorter"));
    }
    // White space at the end, such as an editor's line end, is not part of it.
    bytes.truncate(bytes.trim_ascii_end().len());
    long_enough(&bytes)?;
    Ok((bytes, written))
}

/// A secret that only this process has, the same as long as it runs.
fn of_process() -> Result<Secret, Failed> {
    static MADE: OnceLock<[u8; 32]> = OnceLock::new();
    let bytes = match MADE.get() {
        Some(bytes) => bytes,
        None => {
            let mut bytes = [0; 32];
            File::open("/dev/urandom")
                .and_then(|mut file| file.read_exact(&mut bytes))
                .map_err(|error| {
                    Failed::start(format!(
                        "/dev/urandom: {error}; no secret can be made for sessions"
                    ))
                })?;
            MADE.get_or_init(|| bytes)
        }
    };
    Ok(Secret(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The keys of a file with `text`, `passed` after it was written.
    fn keys(name: &str, text: &str, passed: u64) -> Result<HashKeys, String> {
        let path = std::env::temp_dir().join(format!("evenkeel-{}-secret-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let file = std::fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(passed);
        let config = Config::from_str(
            "a",
            &format!(
                "listeners: [{{ name: web, bind: '127.0.0.1:0' }}]\nservices: [{{ name: web, strategy: {{ name: maglev, hash_secret_file: {}, hash_secret_rotation: 100s }}, instances: [{{ address: '127.0.0.1:1' }}] }}]\n",
                path.display()
            ),
        )
        .unwrap();
        let here = Nanos::from_secs(7);
        let secrets = read(&config, Now { here, file });
        std::fs::remove_file(&path).unwrap();
        let mut secrets = secrets.map_err(|failed| failed.to_string())?;
        Ok(secrets.remove(0).hash.unwrap())
    }

    const NEW: &str = "new-new-new-new-new";
    const OLD: &str = "old-old-old-old-old";

    fn secret(text: &str) -> HashSecret {
        HashSecret::new(Some(text.as_bytes()), "web")
    }

    #[test]
    fn the_second_line_is_the_secret_before() {
        let alone = HashKeys {
            secret: secret(NEW),
            rotation: None,
        };
        assert_eq!(keys("one", &format!("{NEW}\n"), 3).unwrap(), alone);
        let both = format!("{NEW}\r\n{OLD} \n");
        let rotation = |left: u64| Rotation {
            from: secret(OLD),
            ends: Nanos::from_secs(7 + left),
            lasts: Nanos::from_secs(100),
        };
        for (passed, left) in [(0, 100), (30, 70), (99, 1)] {
            let keys = keys("two", &both, passed).unwrap();
            assert_eq!((keys.secret, keys.rotation), (secret(NEW), Some(rotation(left))));
        }
        for passed in [100, 100_000] {
            assert_eq!(keys("over", &both, passed).unwrap(), alone);
        }
    }

    #[test]
    fn files_that_hold_no_secrets_are_refused_without_being_shown() {
        for (text, expected) in [
            (format!("{NEW}\nhunter2\n"), "second line: 7 bytes"),
            (format!("hunter2\n{OLD}\n"), "first line: 7 bytes"),
            (format!("{NEW}\n{OLD}\n{NEW}\n"), "more than two lines"),
            ("hunter2".to_owned(), "7 bytes"),
        ] {
            let error = keys("bad", &text, 0).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2") && !error.contains(NEW), "{error}");
        }
    }
}
