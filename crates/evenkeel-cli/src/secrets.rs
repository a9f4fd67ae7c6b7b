//! Secrets that key the hashes of services, from their files, at start and on every reload.

use std::fs::File;
use std::io::Read as _;

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

/// The secret of each service, in the order of the configuration.
pub(crate) fn read(config: &Config) -> Result<Vec<Option<Secret>>, Failed> {
    config.services.iter().map(of_service).collect()
}

fn of_service(service: &Service) -> Result<Option<Secret>, Failed> {
    let Some(path) = &service.strategy.hash_secret_file else {
        return Ok(None);
    };
    let wrong = |what: String| {
        Failed::input(format!(
            "service {}: hash_secret_file {path}: {what}",
            service.name
        ))
    };
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
    Ok(Some(Secret(bytes)))
}
