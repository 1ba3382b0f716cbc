//! The local Juju, driven with charms that are shell scripts: real processes, real hook tools, no cluster.

mod actions;
mod command_line;
mod endings;
mod environment;
mod exec;
mod failures;
mod harness;
mod lifecycle;
mod memory;
mod relations;
mod secrets;
mod tools;
