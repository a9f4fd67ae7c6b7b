//! Tokio driver of evenkeel-core: one writer per service, active checks, leases with a clock.
