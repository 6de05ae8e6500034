//! Tests of the relay, which sends the inbox's events to the application's own endpoints.

mod arrivals;
mod ends;
mod faults;
mod files;
mod kills;
mod leases;
mod outages;
mod poison;
mod possible;
mod runs;
mod site;
mod steered;
mod steering;
mod thread;
