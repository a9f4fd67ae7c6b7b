#![doc = "[the configuration]: crate::ServiceSettings\n"]
#![doc = include_str!("../../../docs/health.md")]
//!
//! # In Rust
//!
//! Ends of leases are what most of this goes by; [`EjectionSettings`](crate::EjectionSettings) sets the detectors and the
//! thresholds, [`Checks`](crate::Checks) asks the instances themselves. What a program knows beside that it says with
//! [`update_instance_health`](crate::LoadBalancer::update_instance_health) and
//! [`report_load`](crate::LoadBalancer::report_load), again and again, as such words fade.
//!
//! ```
//! use evenkeel::{EjectionSettings, Instance, LoadBalancer, LoadReport, Mode, ServiceSettings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let balancer = LoadBalancer::with_defaults(ServiceSettings {
//!     ejection: EjectionSettings {
//!         consecutive_failures: 3,
//!         on_slow: Mode::DryRun, // tells who would be ejected for being slow
//!         ..EjectionSettings::default()
//!     },
//!     ..ServiceSettings::new("")
//! });
//! balancer.register_instance("web", Instance::new("web-1", "10.0.0.11:9001".parse()?)?).await?;
//!
//! balancer.update_instance_health("web", "web-1", 0.7).await?;
//! balancer.report_load("web", "web-1", LoadReport::default().with_cpu(0.4)?).await?;
//! for one in balancer.instances("web")? {
//!     println!("{}: {} {}, {:?}", one.instance.id, one.state.as_str(), one.score, one.parts.worst());
//! }
//! # Ok(())
//! # }
//! ```
