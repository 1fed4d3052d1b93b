//! What goes on at once: parts that are sent, and an object that is read while another is written.
#![cfg(test)]

mod ahead;
mod parts;
#[path = "../rig/mod.rs"]
mod rig;
mod watched;
