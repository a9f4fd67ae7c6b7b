//! Groups of settings, each declared once and present twice: as written in the file, where every key may be left out,
//! and resolved, where every key has a value.
//!
//! The declaration carries the key, its documentation, its type in the file, its type for the program and its default;
//! the schema, the documentation and the merge with `defaults` follow from it. Settings which are not implemented are
//! absent, so that the file never promises what the program does not do.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_core::{Mode, Panic, Recovery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Bind;
use crate::policy::{PanicText, RegionList};
use crate::preset::{ModeText, Preset, RecoveryText};
use crate::retry_on::RetryOn;
use crate::text::{Count, CountLimit, DurationText, Ratio, SizeLimit, SizeText};
use crate::token_file::TokenFile;
use crate::tolerated;
use crate::whole::Whole;

/// A group of settings in which every key may be left out.
pub(crate) trait Overlay {
    /// These settings, and `below` for the keys they leave out.
    fn over(self, below: Self) -> Self;
}

/// Lays an optional group over another.
pub(crate) fn overlay<T: Overlay>(above: Option<T>, below: Option<T>) -> Option<T> {
    match (above, below) {
        (Some(above), Some(below)) => Some(above.over(below)),
        (above, below) => above.or(below),
    }
}

macro_rules! settings {
    ($(
        $(#[doc = $group_doc:expr])*
        $file:ident => $plain:ident {
            $( $(#[doc = $doc:expr])* $key:ident: $text:ty => $value:ty = $default:expr, )+
        }
    )+) => {$(
        $(#[doc = $group_doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $file {$(
            $(#[doc = $doc])*
            #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "tolerated::key")]
            #[schemars(extend("default" = std::convert::identity::<$text>($default)))]
            pub $key: Option<$text>,
        )+}

        $(#[doc = $group_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $plain {$(
            $(#[doc = $doc])*
            pub $key: $value,
        )+}

        impl Overlay for $file {
            fn over(self, below: Self) -> Self {
                Self { $($key: self.$key.or(below.$key),)+ }
            }
        }

        impl From<$file> for $plain {
            fn from(file: $file) -> Self {
                Self { $($key: file.$key.unwrap_or($default).into(),)+ }
            }
        }

        impl From<&$plain> for $file {
            fn from(plain: &$plain) -> Self {
                #[allow(clippy::clone_on_copy, reason = "most values are numbers, a few are lists")]
                Self { $($key: Some(plain.$key.clone().into()),)+ }
            }
        }

        impl Default for $plain {
            fn default() -> Self {
                $file::default().into()
            }
        }
    )+};
}

settings! {
    /// The admin endpoint: probes, metrics and the API.
    AdminFile => Admin {
        /// Address and port of the admin endpoint. Port 0 lets the system choose; the log names the choice.
        listen: Bind => SocketAddr = Bind::loopback(9901),
        /// File with the token (16 bytes or more, `openssl rand -hex 32`) that changing something through the API takes, and
        /// reading from another machine. With `none` it is the file `admin-token` in `state_dir`, which is made at the start
        /// when it is not there.
        token_file: TokenFile => Option<String> = TokenFile(None),
        /// The greatest weight that an instance may be registered with through the API, so that whoever may register
        /// cannot take nearly all requests. Weights in this file are not bounded by it.
        max_weight: Whole<1, 65535> => u32 = Whole::clamped(65535),
        /// Whether there are metrics at `/metrics`. With `false` nothing is counted for them, in no service; what health,
        /// strategies and the API go by is.
        metrics: bool => bool = true,
    }

    /// What a client may send. What is above a limit is answered with 400, 413, 414 or 431, and a connection too many with 503.
    LimitsFile => Limits {
        /// Bytes of a message head: request line or status line, and all fields. The target of a request may take half
        /// of it. At least `1KiB`: browsers send more than half of that with every request.
        head: SizeText => u64 = SizeText(32 << 10),
        /// Number of header fields in a message.
        fields: Whole<1, 128> => usize = Whole::clamped(100),
        /// Bytes of a request body, or `none`.
        body: SizeLimit => Option<u64> = SizeLimit::none(),
        /// Bytes of one chunk-size line with its extensions. At least `32`: a size has up to 16 digits, and a line end.
        chunk_line: SizeText => u64 = SizeText(1 << 10),
        /// Bytes of the trailer section. At least `128`: its empty last line counts, and one field should fit.
        trailers: SizeText => u64 = SizeText(8 << 10),
        /// Client connections open at the same time, over all listeners of the process.
        connections: Whole<1, 10_000_000> => usize = Whole::clamped(100_000),
    }

    /// How long a client may take.
    ListenerTimeoutsFile => ListenerTimeouts {
        /// From the first byte of a request to the end of its head. Then 408.
        client_header: DurationText => Duration = DurationText::secs(10),
        /// How long a connection may stay open between requests.
        client_idle: DurationText => Duration = DurationText::secs(60),
        /// Longest pause between two pieces of a body, in either direction.
        body_idle: DurationText => Duration = DurationText::secs(30),
    }

    /// How the health of the instances decides who gets requests.
    HealthFile => Health {
        /// Familiar thresholds for all keys left out here and in `circuit_breaker`: `evenkeel`, `datapunk`, `envoy` or `haproxy`.
        preset: Preset => Preset = Preset::Evenkeel,
        /// An instance whose score falls below this gets no requests; 0 for never. The score is the worst of its parts:
        /// checks, requests, latency, load, and what is reported of it.
        threshold: Ratio => f64 = Ratio(0.5),
        /// And it gets some again from this score on.
        recovery_threshold: Ratio => f64 = Ratio(0.8),
        /// What a score does: `enforce`; `dry_run` (every instance keeps its share, and an event says who would get nothing)
        /// or `off`.
        on_score: ModeText => Mode = ModeText::Enforce,
        /// What the foresight does that an instance is about to be bad, by the trends of its errors, response times and reported
        /// load: `enforce` (it gets less), `dry_run` (an event, and how good predictions are; nobody gets less) or `off`.
        on_prediction: ModeText => Mode = ModeText::Off,
        /// How often scores are judged when nothing happens; failures that raise an alarm are judged at once.
        refresh: DurationText => Duration = DurationText::secs(1),
        /// With fewer healthy instances than this, `panic` says what happens; that is counted and told. More
        /// than there are without those that drain count as all of these, and 0 as 1.
        min_healthy_instances: Whole<0, 1_000_000> => u32 = Whole::clamped(1),
        /// With too few healthy instances: `all` uses all that are not ejected, whatever checks, scores and priorities
        /// say, and when none of those answers, the ejected too; `fail` refuses requests with 503; `next_priority` counts
        /// each priority for itself, passes over those with too few, and does as `all` when all have.
        panic: PanicText => Panic = PanicText::All,
    }

    /// Which instances may be used at all. Never broken, whatever else fails.
    LocalityFile => Locality {
        /// Only instances in these regions are used; `[]` for all, those without a region among them.
        allow_regions: RegionList => Vec<String> = RegionList::none(),
        /// Instances in these regions are not used, even if they are allowed.
        deny_regions: RegionList => Vec<String> = RegionList::none(),
    }

    /// How an instance begins that is new, or whose checks pass again: with part of its share, which grows to all of it.
    /// Shares count beside each other, so a service that starts as a whole starts in full.
    SlowStartFile => SlowStart {
        /// How long the share grows.
        window: DurationText => Duration = DurationText::secs(10),
        /// The share it begins with; 1 switches slow start off.
        min_share: Ratio => f64 = Ratio(0.1),
    }

    /// Passive ejection of an instance whose requests fail, or take much longer than elsewhere. Always on.
    CircuitBreakerFile => CircuitBreaker {
        /// Failures in a row (connection errors, timeouts, 5xx) that eject an instance.
        consecutive_errors: Whole<1, 1_000_000> => u32 = Whole::clamped(5),
        /// How long the first ejection lasts; each further one in a row lasts twice as long.
        base_ejection: DurationText => Duration = DurationText::secs(5),
        /// Longest ejection: the upper bound of the doubling.
        recovery_window: DurationText => Duration = DurationText::secs(300),
        /// How an instance comes back: `fixed` (after `recovery_window`, always), `backoff` (after `base_ejection`, doubled
        /// each time), or `ramp` (so too, with a share that grows with its successes).
        recovery: RecoveryText => Recovery = RecoveryText::Ramp,
        /// What `consecutive_errors` failures in a row do: `enforce`, `dry_run` (an event, a count, nothing else) or `off`.
        on_consecutive_errors: ModeText => Mode = ModeText::Enforce,
        /// What a share of `error_rate` failures in ten seconds does.
        on_error_rate: ModeText => Mode = ModeText::Enforce,
        /// What more failures than chance explains do, at any rate of requests: a sequential test.
        on_burst: ModeText => Mode = ModeText::Enforce,
        /// What responses do that take `slow_factor` times as long as those of the peers, for three seconds.
        on_slow: ModeText => Mode = ModeText::Enforce,
        /// What requests do that wait without any answer, or waited until their clients left, while other instances answer.
        on_silence: ModeText => Mode = ModeText::Enforce,
        /// The share of failures in ten seconds that is too much.
        error_rate: Ratio => f64 = Ratio(0.5),
        /// With fewer requests in ten seconds the share says nothing.
        error_rate_requests: Whole<1, 1_000_000> => u32 = Whole::clamped(20),
        /// How many times slower than its peers, and than itself before, is too slow.
        slow_factor: Whole<2, 1000> => u32 = Whole::clamped(5),
        /// Whether all that counts as too much follows the fleet: failures what most instances have in common, slowness also what
        /// an instance always took. With `false` these settings alone decide. What is in force, the API says.
        adaptive_thresholds: bool => bool = true,
        /// The part of the instances that may be ejected or too weak at the same time, rounded up. More may be when a later
        /// priority can take over, or when they fail everything while most others succeed.
        max_ejected: Ratio => f64 = Ratio(0.5),
    }

    /// Further tries of a request on other instances, when that is safe.
    RetryFile => Retry {
        /// Further tries after the first, each on another instance; 0 switches retries off.
        attempts: Whole<0, 7> => u32 = Whole::clamped(2),
        /// Retries allowed as a share of requests. Beside the share there is a small reserve of 20 a second, so that the
        /// rare retry of a quiet service is not refused. With 0 there are no retries at all, and no reserve. Hardly any are
        /// made while not a quarter of them succeeds: they would only keep the fleet busy.
        budget: Ratio => f64 = Ratio(0.2),
        /// What is tried again: `connect` (no connection), `no_response` (the connection ended, or the time was over,
        /// before a byte of the response), statuses such as `503`, or a class, `5xx`. Responses are tried again for
        /// idempotent methods only (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) and while the client has nothing of one; the
        /// last one goes to the client as it is.
        on: RetryOn => RetryOn = RetryOn::USUAL,
    }

    /// What instances say of their load with their responses, in `endpoint-load-metrics` fields and trailers (ORCA).
    /// Always read; strategies that go by reported load use it.
    OrcaFile => Orca {
        /// Whether these fields are kept from the client. With `false` it gets them as the instance sent them.
        strip: bool => bool = true,
    }

    /// Picks that are recorded: who was chosen, by which strategy, with which score, out of how many. The last 1024 of
    /// a service are at `/api/v1/services/{service}/picks`, where recording can be switched on for a time, too.
    RecordPicksFile => RecordPicks {
        /// The part of the picks that is recorded; 0 for none, 1 for all.
        share: Ratio => f64 = Ratio(0.0),
    }

    /// How long an instance may take.
    TimeoutsFile => Timeouts {
        /// To accept a connection.
        connect: DurationText => Duration = DurationText::secs(1),
        /// From the request sent to the head of the response. Then 504.
        response: DurationText => Duration = DurationText::secs(30),
        /// How long an unused connection is kept for the next request. Below the instances' own idle timeout.
        idle: DurationText => Duration = DurationText::secs(60),
        /// Longest pause between two pieces of a body, in either direction.
        body_idle: DurationText => Duration = DurationText::secs(30),
    }

    /// Connections to the instances. Every worker has its own pool.
    PoolFile => Pool {
        /// Open connections to one instance, per worker, or `none`.
        connections_per_instance: CountLimit => Option<u32> = CountLimit::at(1024),
        /// Unused connections kept to one instance, per worker.
        idle_per_instance: Whole<0, 100_000> => u32 = Whole::clamped(64),
    }
}

impl Bind {
    /// A port of this machine's loopback address, for defaults.
    const fn loopback(port: u16) -> Self {
        Self(SocketAddr::new(
            std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            port,
        ))
    }
}

impl LimitsFile {
    /// Below these, no message would fit.
    pub(crate) const LEAST: [(&str, SizeText); 3] = [
        ("head", SizeText(1 << 10)),
        ("chunk_line", SizeText(32)),
        ("trailers", SizeText(128)),
    ];
}

impl SizeLimit {
    /// No limit, for defaults.
    const fn none() -> Self {
        Self(None)
    }
}

impl CountLimit {
    /// A limit, for defaults; `n` is not zero.
    const fn at(n: u32) -> Self {
        Self(Some(Count(n)))
    }
}
