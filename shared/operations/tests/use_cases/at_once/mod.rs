//! What goes on at once: parts that are sent, and an object that is read while another is written.

mod ahead;
mod parts;
mod watched;
