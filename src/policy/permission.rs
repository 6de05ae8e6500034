//! What a rule can allow, and the grants that this becomes. Does not know who gets them.

use crate::livekit::access_token::PreparedGrants;
use crate::livekit::grants::{TrackSource, VideoGrants};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Publish tracks of every source.
    Publish,
    /// Publish tracks of this source.
    PublishSource(TrackSource),
    Subscribe,
    Data,
    OwnMetadata,
    Hidden,
    Moderate,
    Record,
}

/// The permissions as they are written.
pub(crate) const PERMISSIONS: [(&str, Permission); 11] = [
    ("publish", Permission::Publish),
    ("publish.camera", Permission::PublishSource(TrackSource::Camera)),
    ("publish.microphone", Permission::PublishSource(TrackSource::Microphone)),
    ("publish.screen_share", Permission::PublishSource(TrackSource::ScreenShare)),
    ("publish.screen_share_audio", Permission::PublishSource(TrackSource::ScreenShareAudio)),
    ("subscribe", Permission::Subscribe),
    ("data", Permission::Data),
    ("own_metadata", Permission::OwnMetadata),
    ("hidden", Permission::Hidden),
    ("moderate", Permission::Moderate),
    ("record", Permission::Record),
];

/// What LiveKit and everyday language call the permissions.
pub(crate) const OTHER_NAMES: [(&str, &str); 13] = [
    ("canPublish", "publish"),
    ("canSubscribe", "subscribe"),
    ("canPublishData", "data"),
    ("canUpdateOwnMetadata", "own_metadata"),
    ("roomAdmin", "moderate"),
    ("admin", "moderate"),
    ("roomRecord", "record"),
    ("camera", "publish.camera"),
    ("video", "publish.camera"),
    ("microphone", "publish.microphone"),
    ("audio", "publish.microphone"),
    ("screen_share", "publish.screen_share"),
    ("screen_share_audio", "publish.screen_share_audio"),
];

/// What a rule allows in the room.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    permissions: Vec<Permission>,
    grants: PreparedGrants,
}

impl Allowed {
    pub(crate) fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    pub(crate) fn grants(&self) -> PreparedGrants {
        self.grants.clone()
    }
}

impl From<Vec<Permission>> for Allowed {
    fn from(permissions: Vec<Permission>) -> Self {
        Self { grants: PreparedGrants::new(grants(&permissions)), permissions }
    }
}

/// The grants of a participant who has these permissions and no others. LiveKit grants some of what a token does not mention, so
/// those are always written.
fn grants(permissions: &[Permission]) -> VideoGrants {
    let has = |permission| permissions.contains(&permission);
    let sources = permissions.iter().filter_map(|permission| match permission {
        Permission::PublishSource(source) => Some(*source),
        _ => None,
    });
    // An empty list means every source.
    let can_publish_sources: Vec<_> = if has(Permission::Publish) { Vec::new() } else { sources.collect() };
    VideoGrants {
        can_publish: Some(has(Permission::Publish) || !can_publish_sources.is_empty()),
        can_publish_sources,
        can_subscribe: Some(has(Permission::Subscribe)),
        can_publish_data: Some(has(Permission::Data)),
        can_update_own_metadata: has(Permission::OwnMetadata).then_some(true),
        hidden: has(Permission::Hidden),
        room_admin: has(Permission::Moderate),
        room_record: has(Permission::Record),
        ..VideoGrants::default()
    }
}
