//! `roomkey relay`: the relay's targets. Does not know what a target is.

pub(super) mod check;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum RelayCommand {
    /// Report every mistake in a file of targets, and what is perhaps not meant
    Check(check::CheckRelay),
}
