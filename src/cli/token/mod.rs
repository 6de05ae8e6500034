//! `roomkey token`: creates, inspects and verifies access tokens. Does not know how a token is signed.

pub(super) mod create;
mod duration;
mod grant_flags;
pub(super) mod inspect;
mod permissions;
pub(super) mod verify;

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(super) enum TokenCommand {
    /// Mint an access token, with the flags of `lk token create`
    Create(Box<create::CreateToken>),
    /// Explain what a token allows and what is dangerous about it; needs no key
    Inspect(inspect::InspectToken),
    /// Verify a token and print its claims
    Verify(verify::VerifyToken),
}
