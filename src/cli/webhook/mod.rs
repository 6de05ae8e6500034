//! `roomkey webhook`: verifies deliveries, and sends them as LiveKit does. Does not know how a body is signed.

mod body_changes;
mod diagnosis;
mod sample_events;
mod send;
mod verify;

use clap::Subcommand;

use crate::cli::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Verify a delivery; if its body was changed on the way, find out how
    Verify(verify::VerifyWebhook),
    /// Deliver a webhook as LiveKit does
    Send(send::SendWebhook),
}

impl WebhookCommand {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Verify(arguments) => verify::run(arguments),
            Self::Send(arguments) => send::run(arguments),
        }
    }
}
