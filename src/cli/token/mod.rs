//! `roomkey token`: creates, inspects and verifies access tokens. Does not know how a token is signed.

mod create;
mod duration;
mod grant_flags;
mod inspect;
mod permissions;
pub(super) mod verify;

use clap::Subcommand;

use crate::cli::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Mint an access token, with the flags of `lk token create`
    Create(Box<create::CreateToken>),
    /// Explain what a token allows and what is dangerous about it; needs no key
    Inspect(inspect::InspectToken),
    /// Verify a token and print its claims
    Verify(verify::VerifyToken),
}

impl TokenCommand {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Create(arguments) => create::run(*arguments),
            Self::Inspect(arguments) => inspect::run(arguments),
            Self::Verify(arguments) => verify::run(arguments),
        }
    }
}
