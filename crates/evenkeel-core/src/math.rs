//! Small numeric pieces that several rooms use.

mod alias;
mod decay;
mod divisor;
mod histogram;

pub use alias::Alias;
pub use decay::exp2_neg;
pub use divisor::Divisor;
pub use histogram::Histogram;
