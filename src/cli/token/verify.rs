//! `roomkey token verify`: whether a token is valid, also the token of a webhook, and its claims. Does not know what they allow.

use crate::cli::json_spacing::{Spacing, with_spacing};
use crate::cli::shared_flags::{self, VerifyFlags};
use crate::cli::time_words::{relative, utc};
use crate::cli::{Failure, Outcome, input, print_json, tell};
use crate::clock::UnixTime;
use crate::jws;
use crate::livekit::claims::Claims;
use crate::livekit::inspection::Inspection;
use crate::livekit::token_verifier::{LEEWAY, TokenError, TokenVerifier};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey token verify eyJhbGciOi...
  roomkey token create --join --token-only | roomkey token verify -
  roomkey token verify eyJhbGciOi... --at 1795317315")]
pub(in crate::cli) struct VerifyToken {
    /// The token, bare or after `Bearer `; - is stdin
    token: String,
    #[command(flatten)]
    flags: VerifyFlags,
}

pub(in crate::cli) fn run(arguments: VerifyToken) -> Outcome {
    let keys = shared_flags::keys(&arguments.flags.keys)?;
    let token = input::token(&arguments.token)?;
    let now = arguments.flags.now();
    let verified = TokenVerifier::new(keys.clone()).verify(&token, now);
    let verified = verified.map_err(|error| Failure::refused(reason(&error, keys.minting().name(), now)))?;
    if let Some(leeway) = leeway(&verified, now) {
        tell(format_args!("the token is valid {leeway}"));
    }

    let inspection = Inspection::of(&token, now).map_err(Failure::refused)?;
    let claims = String::from_utf8_lossy(inspection.payload());
    let spacing = if arguments.flags.json { Spacing::Compact } else { Spacing::Pretty("  ") };
    print_json(with_spacing(&claims, spacing, str::to_owned))
}

pub(super) fn begin(claims: &Claims) -> Option<UnixTime> {
    [claims.nbf, claims.iat].into_iter().flatten().max()
}

/// If a token with these `claims` is valid only because clocks may differ: a phrase that says so and follows "is valid".
pub(super) fn leeway(claims: &Claims, now: UnixTime) -> Option<String> {
    let forgiven = match (claims.exp.filter(|end| *end < now), begin(claims).filter(|from| *from > now)) {
        (None, None) => return None,
        (Some(end), None) => format!("it expired {}, at {}", relative(end, now), utc(end)),
        (None, Some(from)) => format!("it is valid from {} on, {}", utc(from), relative(from, now)),
        (Some(end), Some(from)) => format!("it expired {}, and begins {}", relative(end, now), relative(from, now)),
    };
    Some(format!("only because of the leeway of {} s for clocks that differ: {forgiven}", LEEWAY.as_secs()))
}

/// Why a token is not valid, in one sentence, with the times in words. `minting` is the name of the key that mints here.
pub(in crate::cli) fn reason(error: &TokenError, minting: &str, now: UnixTime) -> String {
    match error {
        TokenError::Expired { since } => {
            format!("the token expired {}, at {} (exp {})", relative(*since, now), utc(*since), since.as_secs())
        }
        TokenError::NotYetValid { until } => {
            format!("the token is not valid yet, but {}, from {}", relative(*until, now), utc(*until))
        }
        TokenError::UnknownKey { name } if name.is_empty() => {
            "the token names no API key (iss), so nothing can verify it".to_owned()
        }
        TokenError::UnknownKey { name } => {
            format!("the token is signed by the API key {name:?}, which is not among the keys here ({minting:?} mints)")
        }
        TokenError::Jws(jws::Error::Signature) => {
            "the signature does not match: it was made with another secret, or the token was changed".to_owned()
        }
        TokenError::Jws(error) => format!("LiveKit does not accept this as a token: {error}"),
        error => error.to_string(),
    }
}
