//! Certificates of our own, and talking to those who have one.

pub mod certificates;
pub mod https;
