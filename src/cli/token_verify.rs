//! Owns `roomkey token verify`: the library's verdict on a token, a webhook's too, and its claims.

use crate::cli::judging::JudgingFlags;
use crate::cli::respacing::{Spacing, respaced};
use crate::cli::{Failure, Outcome, input, moment, print_json, tell};
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
pub(super) struct Arguments {
    /// The token, bare or after `Bearer `; - is stdin
    token: String,
    #[command(flatten)]
    judging: JudgingFlags,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let keys = arguments.judging.keys()?;
    let token = input::token(&arguments.token)?;
    let now = arguments.judging.now();
    let verified = TokenVerifier::new(keys.clone()).verify(&token, now);
    let verified = verified.map_err(|error| Failure::refused(reason(&error, keys.minting().name(), now)))?;
    if let Some(leeway) = leeway(&verified, now) {
        tell(format_args!("the token holds {leeway}"));
    }

    let inspection = Inspection::of(&token, now).map_err(Failure::refused)?;
    let claims = String::from_utf8_lossy(inspection.payload());
    let spacing = if arguments.judging.json { Spacing::Compact } else { Spacing::Pretty("  ") };
    print_json(respaced(&claims, spacing, str::to_owned))
}

/// That a token with these `claims` holds only because clocks may differ, where it does, in the words that follow "holds".
pub(super) fn leeway(claims: &Claims, now: UnixTime) -> Option<String> {
    let from = [claims.nbf, claims.iat].into_iter().flatten().max();
    let relative = |moment| moment::relative(moment, now);
    let forgiven = match (claims.exp.filter(|end| *end < now), from.filter(|from| *from > now)) {
        (None, None) => return None,
        (Some(end), None) => format!("it expired {}, at {}", relative(end), moment::utc(end)),
        (None, Some(from)) => format!("it is valid from {} on, {}", moment::utc(from), relative(from)),
        (Some(end), Some(from)) => format!("it expired {}, and begins {}", relative(end), relative(from)),
    };
    Some(format!("only because of the leeway of {} s for clocks that differ: {forgiven}", LEEWAY.as_secs()))
}

/// Why a token does not hold, in one sentence, with the times in words. `minting` is the name of the key here that mints.
pub(super) fn reason(error: &TokenError, minting: &str, now: UnixTime) -> String {
    match error {
        TokenError::Expired { since } => {
            format!("the token expired {}, at {} (exp {})", moment::relative(*since, now), moment::utc(*since), since.as_secs())
        }
        TokenError::NotYetValid { until } => {
            format!("the token is not valid yet, but {}, from {}", moment::relative(*until, now), moment::utc(*until))
        }
        TokenError::UnknownKey { name } if name.is_empty() => {
            "the token names no API key (iss), so nothing can verify it".to_owned()
        }
        TokenError::UnknownKey { name } => {
            format!("the token is signed by the API key {name:?}, which is not among the keys here ({minting:?} mints)")
        }
        TokenError::Jws(jws::Error::Signature) => {
            "the signature does not fit: it was made with another secret, or the token was changed".to_owned()
        }
        TokenError::Jws(error) => format!("this is no token that LiveKit takes: {error}"),
        error => error.to_string(),
    }
}
