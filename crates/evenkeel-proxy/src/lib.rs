//! Data plane of Evenkeel: listeners, HTTP/1.1, pools, retries, drain.
