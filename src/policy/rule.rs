//! One rule of a policy: whom it is for, which rooms, and what it gives. Does not know the other rules.

use std::borrow::Cow;
use std::time::Duration;

use crate::caller::matchers::Matchers;
use crate::livekit::access_token::{
    AccessTokenError, Identity, MAX_NAME_BYTES, NameError, ParticipantName, ParticipantToken, RoomName,
};
use crate::livekit::room_config::RoomConfiguration;
use crate::policy::Policy;
use crate::policy::content::{Attributes, NoRoomConfig, RoomConfig};
use crate::policy::denial::{Mismatch, Unfit};
use crate::policy::pattern::{Fit, Pattern};
use crate::policy::permission::Allowed;
use crate::policy::placeholder::Placeholder;
use crate::policy::rate::Rate;
use crate::policy::template::{Random, Template};
use crate::policy::values::{Unfilled, Values};

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// The names of the callers.
    pub(crate) callers: Vec<String>,
    pub(crate) claims: Matchers,
    /// At least one.
    pub(crate) rooms: Vec<Pattern>,
    pub(crate) identity: Template,
    pub(crate) display: Option<Template>,
    pub(crate) metadata: Option<Template>,
    pub(crate) attributes: Option<Attributes>,
    pub(crate) room_config: Option<RoomConfig>,
    pub(crate) allow: Allowed,
    /// At most this; the server may allow less.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) limit: Option<Rate>,
    pub(crate) events: EventsRight,
}

/// What a caller may read of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EventsRight {
    #[default]
    None,
    /// Those of the one room, as its `roomAdmin`.
    Room,
    /// Those of all rooms, as `roomList`.
    All,
}

/// Whether a rule decides about a request.
#[derive(Debug)]
pub(crate) enum Match<'a> {
    /// It does, and gives a token if its templates can be filled.
    Yes,
    No(Mismatch<'a>),
    /// It does, and denies.
    Denies(Unfit<'a>),
}

impl Rule {
    /// Whether the rule decides about the request of a caller whom it names.
    pub(crate) fn matches<'a>(&'a self, values: &Values<'a>) -> Match<'a> {
        match self.claims.mismatch(&values.caller.claims) {
            Some(mismatch) => Match::No(Mismatch::Claim(mismatch)),
            None => self.matches_room(values),
        }
    }

    /// Whether the rule decides, if its claims match.
    pub(crate) fn matches_room<'a>(&'a self, values: &Values<'a>) -> Match<'a> {
        let Some(room) = values.asked.room() else { return Match::Yes };
        let mut unfilled = None;
        for pattern in &self.rooms {
            match pattern.fit(room, values) {
                Fit::Yes => return Match::Yes,
                Fit::No => {}
                Fit::Unfilled(why) => unfilled = unfilled.or(Some(why)),
            }
        }
        match unfilled {
            Some(why) => Match::Denies(Unfit::Unfilled { key: "room", why }),
            None => Match::No(Mismatch::Room { room, patterns: &self.rooms, values: *values }),
        }
    }

    /// The token for a request that the rule decides about.
    pub(crate) fn token<'a>(
        &'a self,
        values: &Values<'a>,
        bounds: &Policy,
        random: &mut Random<'_>,
    ) -> Result<ParticipantToken, Unfit<'a>> {
        let room = self.room(values, random)?;
        let identity = self.identity.fill_distinctly(values, random).map_err(unfilled("identity"))?;
        let identity = Identity::new(identity).map_err(too_long("identity"))?;
        let lifetime = self.lifetime.map_or(bounds.ttl, |lifetime| lifetime.min(bounds.ttl));
        let mut token = ParticipantToken::new(room, identity).with_prepared_grants(self.allow.grants()).with_ttl(lifetime);
        if let Some(display) = optional(self.display.as_ref(), "display", values, random)? {
            token = token.with_name(ParticipantName::new(display).map_err(too_long("display"))?);
        }
        if let Some(metadata) = optional(self.metadata.as_ref(), "metadata", values, random)? {
            token = token.with_metadata(metadata).map_err(Unfit::Limit)?;
        }
        if let Some(attributes) = &self.attributes {
            let attributes = attributes.fill(values, random).map_err(unfilled("attributes"))?;
            token = token.with_attributes(attributes).map_err(Unfit::Limit)?;
        }
        if let Some(config) = self.room_config(values, bounds, random)? {
            token = token.with_room_config(config);
        }
        Ok(token)
    }

    /// The room that was asked for, which fits, or else the only one of the rule.
    fn room<'a>(&'a self, values: &Values<'a>, random: &mut Random<'_>) -> Result<RoomName, Unfit<'a>> {
        let room = match (values.asked.room(), &self.rooms[..]) {
            (Some(asked), _) => Cow::Borrowed(asked),
            (None, [only]) => {
                let room = only.room(values, random).ok_or(Unfit::RoomNeeded)?;
                room.map_err(unfilled("room"))?
            }
            (None, _) => return Err(Unfit::RoomNeeded),
        };
        RoomName::new(room).map_err(too_long("room"))
    }

    fn room_config<'a>(
        &'a self,
        values: &Values<'a>,
        bounds: &Policy,
        random: &mut Random<'_>,
    ) -> Result<Option<RoomConfiguration>, Unfit<'a>> {
        let Some(template) = &self.room_config else { return Ok(None) };
        let config = template.fill(values, random).map_err(|error| match error {
            NoRoomConfig::Unfilled(why) => Unfit::Unfilled { key: "room_config", why },
            NoRoomConfig::Invalid(error) => {
                let is_asked_for = *template == RoomConfig::Whole(Placeholder::ROOM_CONFIG);
                Unfit::RoomConfig { error, is_asked_for }
            }
        })?;
        match config {
            Some(config) if config.has_egress() && !bounds.allow_client_egress && !template.is_written_by_the_operator() => {
                Err(Unfit::ClientEgress)
            }
            config => Ok(config),
        }
    }

    /// Every placeholder, with the key of its template.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = (&'static str, &Placeholder)> {
        let rooms = self.rooms.iter().flat_map(Pattern::placeholders).map(|each| ("room", each));
        let texts = placeholders_of("identity", Some(&self.identity)).chain(placeholders_of("display", self.display.as_ref()));
        let attributes = self.attributes.iter().flat_map(Attributes::placeholders).map(|each| ("attributes", each));
        let room_config = self.room_config.iter().flat_map(RoomConfig::placeholders).map(|each| ("room_config", each));
        rooms.chain(texts).chain(placeholders_of("metadata", self.metadata.as_ref())).chain(attributes).chain(room_config)
    }
}

/// The placeholders of a template that may be absent, with its key.
fn placeholders_of<'t>(
    key: &'static str,
    template: Option<&'t Template>,
) -> impl Iterator<Item = (&'static str, &'t Placeholder)> {
    template.into_iter().flat_map(Template::placeholders).map(move |each| (key, each))
}

/// The text of a template that may be absent, or stand for something that was not sent.
fn optional<'a>(
    template: Option<&'a Template>,
    key: &'static str,
    values: &Values<'a>,
    random: &mut Random<'_>,
) -> Result<Option<Cow<'a, str>>, Unfit<'a>> {
    let is_sent = |template: &&Template| template.only_placeholder().is_none_or(|only| !values.is_not_sent(only));
    template.filter(is_sent).map(|template| template.fill(values, random).map_err(unfilled(key))).transpose()
}

fn unfilled<'a>(key: &'static str) -> impl FnOnce(Unfilled<'a>) -> Unfit<'a> {
    move |why| Unfit::Unfilled { key, why }
}

/// Names that are filled are never empty.
fn too_long<'a>(what: &'static str) -> impl FnOnce(NameError) -> Unfit<'a> {
    move |_| Unfit::Limit(AccessTokenError::TooLong { what, limit: MAX_NAME_BYTES })
}
