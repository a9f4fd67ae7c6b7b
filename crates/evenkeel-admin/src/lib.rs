//! Admin endpoints of Evenkeel: probes, metrics, read API.
