//! Selection, health and strategies of Evenkeel: pure, no I/O, no clock.
