//! Secrets that key the hashes and the sessions of services, from their files, at start and on every reload.

use std::fs::File;
use std::io::Read as _;
use std::sync::OnceLock;

use evenkeel_config::{Config, Service};

use crate::exit::Failed;

/// The shortest secret, in bytes: what the key of the hash is made of should not be less than the key.
const SHORTEST: usize = 16;
/// The longest: a larger file was not meant.
const LONGEST: u64 = 4096;

/// A secret. Not shown anywhere.
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The secrets of a service.
pub(crate) struct Secrets {
    /// Keys the hash of its strategy.
    pub(crate) hash: Option<Secret>,
    /// Keys the cookies of its sessions; `None` when they do not stick.
    pub(crate) session: Option<Secret>,
}

/// The secrets of each service, in the order of the configuration.
pub(crate) fn read(config: &Config) -> Result<Vec<Secrets>, Failed> {
    config.services.iter().map(of_service).collect()
}

fn of_service(service: &Service) -> Result<Secrets, Failed> {
    let hash = service.strategy.hash_secret_file.as_deref();
    let session = service.sticky.as_ref().map(|sticky| match &sticky.secret_file {
        Some(path) => of_file(service, "sticky.secret_file", path),
        None => of_process(),
    });
    Ok(Secrets {
        hash: hash
            .map(|path| of_file(service, "hash_secret_file", path))
            .transpose()?,
        session: session.transpose()?,
    })
}

fn of_file(service: &Service, key: &str, path: &str) -> Result<Secret, Failed> {
    let wrong = |what: String| Failed::input(format!("service {}: {key} {path}: {what}", service.name));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("{error}; put a secret there that this user can read")))?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("more than {LONGEST} bytes; a secret is shorter")));
    }
    // White space at the end, such as an editor's line end, is not part of it.
    let length = bytes.trim_ascii_end().len();
    bytes.truncate(length);
    if length < SHORTEST {
        return Err(wrong(format!(
            "{length} bytes; make it at least {SHORTEST}, with `openssl rand -hex 16`"
        )));
    }
    Ok(Secret(bytes))
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
