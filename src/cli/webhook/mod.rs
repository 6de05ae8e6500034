//! `roomkey webhook`: verifies deliveries, and sends them as LiveKit does. Does not know how a body is signed.

mod body_changes;
mod sample_events;
pub(super) mod send;
pub(super) mod verify;

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(super) enum WebhookCommand {
    /// Verify a delivery; if its body was changed on the way, find out how
    Verify(verify::VerifyWebhook),
    /// Deliver a webhook as LiveKit does
    Send(send::SendWebhook),
}
