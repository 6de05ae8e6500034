//! What a request for a token asks for, whichever endpoint it came to. Does not know who asks, nor what is granted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// What a client asks for. An empty text, list or object counts as not sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) room: Option<Cow<'a, str>>,
    pub(crate) identity: Option<Cow<'a, str>>,
    /// The display name.
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) metadata: Option<Cow<'a, str>>,
    pub(crate) attributes: Option<BTreeMap<String, String>>,
    /// The configuration of the room, unchecked.
    pub(crate) room_config: Option<&'a RawValue>,
}

impl Asked<'_> {
    /// The room that is asked for.
    pub(crate) fn room(&self) -> Option<&str> {
        sent(&self.room)
    }
}

/// The text, unless it is empty.
pub(crate) fn sent<'a>(text: &'a Option<Cow<'_, str>>) -> Option<&'a str> {
    text.as_deref().filter(|text| !text.is_empty())
}
