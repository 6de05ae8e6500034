//! Tests of the relay: it sends the inbox's events to the application's own endpoints.

mod steering;
