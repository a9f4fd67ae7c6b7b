//! Small numeric pieces that several rooms use.

mod alias;
mod decay;
mod divisor;
mod factor;
mod histogram;
mod logarithm;
mod real;

pub use alias::Alias;
pub use decay::exp2_neg;
pub use divisor::Divisor;
pub use factor::Factor;
pub use histogram::Histogram;
pub(crate) use logarithm::minus_ln;
pub use real::{AtomicF32, AtomicF64, real};
