//! Tests of the relay, which sends the inbox's events to the application's own endpoints.

mod files;
mod runs;
mod site;
mod steered;
mod steering;
