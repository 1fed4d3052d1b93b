//! What each use case promises, over the stores in memory. One program: each would compile the whole engine for itself.
#![cfg(test)]

mod aggregates;
mod arrivals;
mod at_once;
mod begin;
mod by_key;
mod control;
mod error_codes;
mod foreign;
mod lists;
mod misfits;
mod pace;
mod planning;
mod position_map;
mod ranges;
mod series;
mod settle;
mod source_changed;
mod told;
mod troubled_shard;
mod verify_slices;
mod writers;
mod writes;
