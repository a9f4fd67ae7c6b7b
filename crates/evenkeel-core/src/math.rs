//! Small numeric pieces that several rooms use.

mod histogram;

pub use histogram::Histogram;
