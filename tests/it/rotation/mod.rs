//! Tests of keys that change while the real program runs: files, links, signals and load from outside.

mod changes;
mod forms;
mod kept;
mod load;
mod readers;
mod starts;
mod steps;
mod support;
