//! The sentence that answers wrong use. It names flags and never repeats a value, which could be a secret in the wrong place.

use std::error::Error as _;

use clap::error::{ContextKind, Error, ErrorKind};

/// What is wrong, and where to find help.
pub(super) fn sentence(error: &Error) -> String {
    let context = |kind| error.get(kind).map(ToString::to_string).filter(|text| !text.is_empty());
    let flag = context(ContextKind::InvalidArg).map_or_else(|| "an argument".to_owned(), |flag| name(&flag));
    let what = match error.kind() {
        ErrorKind::UnknownArgument if !flag.starts_with('-') => "there is one argument too many".to_owned(),
        ErrorKind::UnknownArgument if flag.contains("secret") || flag.contains("key") => format!(
            "there is no flag {flag}, because flags are visible to other users (set LIVEKIT_API_KEY and LIVEKIT_API_SECRET)"
        ),
        ErrorKind::UnknownArgument => format!("there is no flag {flag}"),
        ErrorKind::InvalidSubcommand => {
            let suggestion = context(ContextKind::SuggestedSubcommand).map(|near| format!(": did you mean {near}?"));
            format!("there is no such command{}", suggestion.unwrap_or_default())
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing: token takes create, inspect or verify, webhook takes verify or send, policy takes check or test, inbox takes export, import or restore, and relay takes status, owed, retry, replay, skip, pause or resume"
                .to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("missing: {}", context(ContextKind::InvalidArg).unwrap_or(flag)),
        ErrorKind::ArgumentConflict => match error.get(ContextKind::PriorArg) {
            Some(prior) if error.get(ContextKind::InvalidArg).is_none() => {
                format!("{} must come after the command", name(&prior.to_string()))
            }
            Some(clap::error::ContextValue::Strings(prior)) => format!("{flag} cannot be used with {}", prior.join(" and ")),
            Some(prior) if name(&prior.to_string()) != flag => format!("{flag} cannot be used with {}", name(&prior.to_string())),
            Some(_) => format!("{flag} must appear only once"),
            None => format!("{flag} cannot be used with the other arguments"),
        },
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            match (context(ContextKind::InvalidValue), context(ContextKind::ValidValue)) {
                (Some(_), Some(valid)) => format!("{flag} must be one of {valid}"),
                (None, Some(valid)) => format!("{flag} needs a value, one of {valid}"),
                _ => format!("{flag} needs a value"),
            }
        }
        ErrorKind::TooManyValues => format!("{flag} takes no value"),
        ErrorKind::ValueValidation => match error.source() {
            Some(reason) => format!("{flag} {reason}"),
            None => format!("{flag} has an invalid value"),
        },
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        _ => "these arguments cannot be used".to_owned(),
    };
    format!("{what}: see `roomkey --help`")
}

/// Only a flag's name, such as `--kind` for `--kind <KIND>`.
fn name(flag: &str) -> String {
    flag.split([' ', '=']).next().unwrap_or_default().to_owned()
}
