//! Limits the system sets on the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: a proxy needs two per request in flight, and
/// the usual soft limit of 1024 is a leftover of `select`.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = ?limit.current, "cannot raise the limit of open files");
    }
}

/// Client connections for which there are files: of all that may be open, a quarter is kept for
/// connections to instances, which many clients share, and some for everything else. Clients that took
/// the last file would leave none to serve them with.
pub(crate) fn clients() -> usize {
    const OWN: u64 = 32;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((files - files / 4).saturating_sub(OWN).max(1)).unwrap_or(usize::MAX)
}
