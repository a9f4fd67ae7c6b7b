//! Wire types of Evenkeel: the configuration file.
