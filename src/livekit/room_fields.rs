//! The fields of `roomConfig` at every depth (livekit/protocol `livekit_room.proto`, `livekit_agent_dispatch.proto`,
//! `livekit_egress.proto`) and their types in protobuf's JSON. Copies an object so that each field has its name in lowerCamelCase. Of
//! what a client may set it knows only that `webhooks` is not allowed.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, Members, ObjectWriter};
use crate::livekit::protobuf_json::is_field;
use crate::livekit::room_config::RoomConfigurationError;

/// What happens to unknown fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are kept, because LiveKit may know them.
    Kept,
    /// They are left out, because a client chose them.
    LeftOut,
}

/// A type of protobuf's JSON (<https://protobuf.dev/programming-guides/json/>).
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Text,
    Flag,
    /// `uint32`: a number, or the same as a string.
    Unsigned,
    /// `int32`: likewise.
    Signed,
    /// `double`: a number, or the same as a string.
    Number,
    /// An enum: its name, or its number.
    Enumeration,
    /// `map<string, string>`.
    TextMap,
    Object(&'static [Field]),
    /// An object that also says where its files go.
    Output(&'static [Field]),
    /// A list of objects.
    List(&'static Self),
}

/// A field's name in lowerCamelCase, and its type.
type Field = (&'static str, Type);

/// Lists fields. A row is a type and the names of the fields that have it.
macro_rules! fields {
    ($($($name:ident)+: $type:expr;)*) => { &[$($((stringify!($name), $type)),+),*] };
}

/// The whole object.
pub(crate) const ROOM_CONFIGURATION: Type = Type::Object(fields! {
    name metadata: Type::Text;
    emptyTimeout departureTimeout maxParticipants minPlayoutDelay maxPlayoutDelay: Type::Unsigned;
    syncStreams: Type::Flag;
    tags: Type::TextMap;
    egress: ROOM_EGRESS;
    agents: Type::List(&ROOM_AGENT_DISPATCH);
});

const ROOM_AGENT_DISPATCH: Type = Type::Object(fields! {
    agentName metadata deployment threadId: Type::Text;
    restartPolicy: Type::Enumeration;
    attributes: Type::TextMap;
});

const ROOM_EGRESS: Type = Type::Object(fields! {
    room: ROOM_COMPOSITE_EGRESS;
    participant: AUTO_PARTICIPANT_EGRESS;
    tracks: AUTO_TRACK_EGRESS;
});

/// Without its stream outputs, which no token may have.
const ROOM_COMPOSITE_EGRESS: Type = Type::Object(fields! {
    roomName layout customBaseUrl: Type::Text;
    audioOnly videoOnly: Type::Flag;
    audioMixing preset: Type::Enumeration;
    advanced: ENCODING_OPTIONS;
    file: ENCODED_FILE_OUTPUT;
    segments: SEGMENTED_FILE_OUTPUT;
    fileOutputs: Type::List(&ENCODED_FILE_OUTPUT);
    segmentOutputs: Type::List(&SEGMENTED_FILE_OUTPUT);
    imageOutputs: Type::List(&IMAGE_OUTPUT);
});

const AUTO_PARTICIPANT_EGRESS: Type = Type::Object(fields! {
    preset: Type::Enumeration;
    advanced: ENCODING_OPTIONS;
    fileOutputs: Type::List(&ENCODED_FILE_OUTPUT);
    segmentOutputs: Type::List(&SEGMENTED_FILE_OUTPUT);
});

const AUTO_TRACK_EGRESS: Type = Type::Output(fields! { filepath: Type::Text; disableManifest: Type::Flag; });

const ENCODED_FILE_OUTPUT: Type = Type::Output(fields! {
    filepath: Type::Text;
    fileType: Type::Enumeration;
    disableManifest: Type::Flag;
});

const SEGMENTED_FILE_OUTPUT: Type = Type::Output(fields! {
    filenamePrefix playlistName livePlaylistName: Type::Text;
    protocol filenameSuffix: Type::Enumeration;
    segmentDuration: Type::Unsigned;
    disableManifest: Type::Flag;
});

const IMAGE_OUTPUT: Type = Type::Output(fields! {
    filenamePrefix: Type::Text;
    captureInterval: Type::Unsigned;
    width height: Type::Signed;
    filenameSuffix imageCodec: Type::Enumeration;
    disableManifest: Type::Flag;
});

const ENCODING_OPTIONS: Type = Type::Object(fields! {
    width height depth framerate audioBitrate audioFrequency audioQuality videoBitrate videoQuality: Type::Signed;
    audioCodec videoCodec: Type::Enumeration;
    keyFrameInterval: Type::Number;
});

/// Where the files of an [`Output`](Type::Output) go, without the credentials, which no token may have.
const STORES: &[Field] = fields! {
    s3: Type::Object(fields! {
        accessKey assumeRoleArn region endpoint bucket tagging contentDisposition: Type::Text;
        forcePathStyle: Type::Flag;
        metadata: Type::TextMap;
        proxy: PROXY;
    });
    gcp: Type::Object(fields! { bucket: Type::Text; proxy: PROXY; });
    azure: Type::Object(fields! { accountName containerName: Type::Text; });
    aliOSS: Type::Object(fields! { accessKey region endpoint bucket: Type::Text; });
};

const PROXY: Type = Type::Object(fields! { url username: Type::Text; });

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "true or false",
            Self::Unsigned => "a whole number from 0 to 4294967295",
            Self::Signed => "a whole number from -2147483648 to 2147483647",
            Self::Number => "a number",
            Self::Enumeration => "a name or a number",
            Self::TextMap => "an object of strings",
            Self::Object(_) | Self::Output(_) => "an object",
            Self::List(_) => "a list of objects",
        }
    }

    pub(crate) fn wrong(self) -> RoomConfigurationError {
        RoomConfigurationError::WrongType { path: String::new(), expected: self.name() }
    }

    /// Appends `value`, which must have this type, to `out`. Known fields get their names in lowerCamelCase, the rest is unchanged.
    pub(crate) fn copy(self, value: &RawValue, unknown: Unknown, out: &mut Vec<u8>) -> Result<(), RoomConfigurationError> {
        let is_text = |value: &RawValue| value.get().starts_with('"');
        let is_number = |is_right: fn(f64) -> bool| match serde_json::from_str(value.get()) {
            Ok(Value::Number(number)) => number.as_f64().is_some_and(is_right),
            Ok(Value::String(number)) => number.trim() == number && serde_json::from_str(&number).is_ok_and(is_right),
            _ => false,
        };
        let fits = match self {
            Self::Object(known) => return copy_fields(self.members(value)?, &[known], unknown, out),
            Self::Output(known) => return copy_fields(self.members(value)?, &[known, STORES], unknown, out),
            Self::List(item) => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).or(Err(self.wrong()))?;
                out.push(b'[');
                for (index, value) in items.into_iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.copy(value, unknown, out).map_err(|error| error.under(&index.to_string()))?;
                }
                out.push(b']');
                return Ok(());
            }
            Self::TextMap => self.members(value)?.iter().all(|(_, value)| is_text(value)),
            Self::Text => is_text(value),
            Self::Flag => matches!(value.get(), "true" | "false"),
            Self::Unsigned => is_number(|number| is_whole(number, 0.0, u32::MAX.into())),
            Self::Signed => is_number(is_int32),
            Self::Number => is_number(|_| true) || matches!(value.get(), r#""NaN""# | r#""Infinity""# | r#""-Infinity""#),
            Self::Enumeration => is_text(value) || serde_json::from_str(value.get()).is_ok_and(is_int32),
        };
        out.extend_from_slice(value.get().as_bytes());
        if fits { Ok(()) } else { Err(self.wrong()) }
    }

    fn members(self, value: &RawValue) -> Result<Members<'_>, RoomConfigurationError> {
        Members::parse(value.get().as_bytes()).or(Err(self.wrong()))
    }
}

fn is_whole(number: f64, least: f64, most: f64) -> bool {
    number.fract() == 0.0 && (least..=most).contains(&number)
}

fn is_int32(number: f64) -> bool {
    is_whole(number, i32::MIN.into(), i32::MAX.into())
}

/// Appends an object with these `fields`. The `known` ones are checked, and named in lowerCamelCase.
fn copy_fields(
    fields: Members<'_>,
    known: &[&[Field]],
    unknown: Unknown,
    out: &mut Vec<u8>,
) -> Result<(), RoomConfigurationError> {
    let mut copied = Vec::new();
    let mut object = ObjectWriter::begin(out);
    for (name, value) in fields.iter().filter(|(_, value)| value.get() != "null") {
        let Some(&(camel, expected)) = known.iter().copied().flatten().find(|(camel, _)| is_field(name, camel)) else {
            match unknown {
                Unknown::Kept => object.any(name, |out| json::write(out, value)),
                Unknown::LeftOut if name == "webhooks" && !is_empty_list(value) => {
                    return Err(RoomConfigurationError::Webhooks { path: name.to_owned() });
                }
                Unknown::LeftOut => {}
            }
            continue;
        };
        if copied.contains(&camel) {
            return Err(RoomConfigurationError::BothCasings { path: camel.to_owned() });
        }
        copied.push(camel);
        object.any(camel, |out| expected.copy(value, unknown, out)).map_err(|error| error.under(camel))?;
    }
    object.end();
    Ok(())
}

fn is_empty_list(value: &RawValue) -> bool {
    serde_json::from_str::<[(); 0]>(value.get()).is_ok()
}
