//! Tests of policy files with the real program: what each rule decides, which mistakes are found, and how the commands behave. The
//! tables are in `fixtures/policy/`.

mod commands;
mod decisions;
mod findings;
