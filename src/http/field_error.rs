//! What can be wrong with a field of a body or a parameter of a query, in words that continue its name. Does not know the field.

use crate::livekit::access_token::{AccessTokenError, NameError};
use crate::relay::steering::STEERED_CURSORS;

/// What is wrong with a field or a parameter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("must be a string")]
    NotText,
    #[error("must be an object of strings")]
    NotTexts,
    #[error("must appear only once")]
    Twice,
    #[error("must not appear in both casings")]
    BothCasings,
    #[error("must be a cursor that was given here")]
    NotACursor,
    #[error("must be a cursor that was given here: this one is later than every event, and more than an hour in the future")]
    CursorAhead,
    #[error("must be a list of 1 to {STEERED_CURSORS} cursors that were given here")]
    NotCursors,
    #[error("must be held, aside, dead or expired")]
    NotAState,
    #[error("must be held, aside or dead")]
    NotARetryableState,
    #[error("must be a time such as 2026-11-22T03:15:15Z")]
    NotATime,
    #[error("must not appear together with {0}")]
    With(&'static str),
    #[error("must not be later than {0}")]
    Later(&'static str),
    #[error("must not appear more than {0} times")]
    TooMany(usize),
    #[error("must be a whole number")]
    NotANumber,
    #[error("must be true or false")]
    NotABoolean,
    #[error("{}", .0.reason())]
    Name(NameError),
    #[error(transparent)]
    Limit(AccessTokenError),
}
