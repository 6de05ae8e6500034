//! The fields of `roomConfig` at every depth (livekit/protocol `livekit_room.proto`, `livekit_agent_dispatch.proto`,
//! `livekit_egress.proto`) and their types in protobuf's JSON. Copies an object so that each field has its name in lowerCamelCase. Of
//! what a client may set it knows only that `webhooks` is not allowed.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, Members, ObjectWriter};
use crate::livekit::protobuf_json::is_field;
use crate::livekit::room_config_error::RoomConfigurationError;

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
    /// What it is called in errors, and whether a value has it.
    Scalar(&'static str, fn(&RawValue) -> bool),
    /// The fields, in one or two lists.
    Object(&'static [&'static [Field]]),
    List(&'static Self),
}

/// A field's name in lowerCamelCase, and its type.
pub(super) type Field = (&'static str, Type);

const TEXT: Type = Type::Scalar("a string", is_text);
const FLAG: Type = Type::Scalar("true or false", |value| matches!(value.get(), "true" | "false"));
/// These three may be a number, or the same as a string.
const UINT32: Type = Type::Scalar("a whole number from 0 to 4294967295", |value| is_whole(value, 0.0, u32::MAX.into()));
const INT32: Type = Type::Scalar("a whole number from -2147483648 to 2147483647", is_int32);
const DOUBLE: Type = Type::Scalar("a number", |value| {
    number(value).is_some() || matches!(value.get(), r#""NaN""# | r#""Infinity""# | r#""-Infinity""#)
});
const ENUM: Type = Type::Scalar("a name or a number", |value| is_text(value) || is_int32(value));
const TEXT_MAP: Type = Type::Scalar("an object of strings", |value| {
    Members::parse(value.get().as_bytes()).is_ok_and(|members| members.iter().all(|(_, value)| is_text(value)))
});

fn is_text(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

fn is_int32(value: &RawValue) -> bool {
    is_whole(value, i32::MIN.into(), i32::MAX.into())
}

fn is_whole(value: &RawValue, least: f64, most: f64) -> bool {
    number(value).is_some_and(|number| number.fract() == 0.0 && (least..=most).contains(&number))
}

fn number(value: &RawValue) -> Option<f64> {
    match serde_json::from_str(value.get()).ok()? {
        Value::Number(number) => number.as_f64(),
        Value::String(number) if number.trim() == number => serde_json::from_str(&number).ok(),
        _ => None,
    }
}

/// Lists fields. A row is a type and the names of the fields that have it.
macro_rules! fields {
    ($($($name:ident)+: $type:expr;)*) => { &[$($((stringify!($name), $type)),+),*] };
}

/// An object with such fields, and those of another list.
macro_rules! object {
    ($($($name:ident)+: $type:expr;)* $(..$others:ident)?) => {
        Type::Object(&[fields! { $($($name)+: $type;)* } $(, $others)?])
    };
}

/// The whole object. Stream outputs are missing, because no token may have them.
pub(crate) const ROOM_CONFIGURATION: Type = object! {
    name metadata: TEXT;
    emptyTimeout departureTimeout maxParticipants minPlayoutDelay maxPlayoutDelay: UINT32;
    syncStreams: FLAG;
    tags: TEXT_MAP;
    egress: object! {
        room: object! {
            roomName layout customBaseUrl: TEXT;
            audioOnly videoOnly: FLAG;
            audioMixing preset: ENUM;
            advanced: ENCODING_OPTIONS;
            file: ENCODED_FILE_OUTPUT;
            segments: SEGMENTED_FILE_OUTPUT;
            fileOutputs: Type::List(&ENCODED_FILE_OUTPUT);
            segmentOutputs: Type::List(&SEGMENTED_FILE_OUTPUT);
            imageOutputs: Type::List(&object! {
                filenamePrefix: TEXT;
                captureInterval: UINT32;
                width height: INT32;
                filenameSuffix imageCodec: ENUM;
                disableManifest: FLAG;
                ..STORES
            });
        };
        participant: object! {
            preset: ENUM;
            advanced: ENCODING_OPTIONS;
            fileOutputs: Type::List(&ENCODED_FILE_OUTPUT);
            segmentOutputs: Type::List(&SEGMENTED_FILE_OUTPUT);
        };
        tracks: object! { filepath: TEXT; disableManifest: FLAG; ..STORES };
    };
    agents: Type::List(&object! {
        agentName metadata deployment threadId: TEXT;
        restartPolicy: ENUM;
        attributes: TEXT_MAP;
    });
};

const ENCODED_FILE_OUTPUT: Type = object! {
    filepath: TEXT;
    fileType: ENUM;
    disableManifest: FLAG;
    ..STORES
};

const SEGMENTED_FILE_OUTPUT: Type = object! {
    filenamePrefix playlistName livePlaylistName: TEXT;
    protocol filenameSuffix: ENUM;
    segmentDuration: UINT32;
    disableManifest: FLAG;
    ..STORES
};

const ENCODING_OPTIONS: Type = object! {
    width height depth framerate audioBitrate audioFrequency audioQuality videoBitrate videoQuality: INT32;
    audioCodec videoCodec: ENUM;
    keyFrameInterval: DOUBLE;
};

/// Where the files of an output go, without the credentials, which no token may have.
const STORES: &[Field] = fields! {
    s3: object! {
        accessKey assumeRoleArn region endpoint bucket tagging contentDisposition: TEXT;
        forcePathStyle: FLAG;
        metadata: TEXT_MAP;
        proxy: PROXY;
    };
    gcp: object! { bucket: TEXT; proxy: PROXY; };
    azure: object! { accountName containerName: TEXT; };
    aliOSS: object! { accessKey region endpoint bucket: TEXT; };
};

const PROXY: Type = object! { url username: TEXT; };

impl Type {
    pub(crate) fn wrong(self) -> RoomConfigurationError {
        let expected = match self {
            Self::Scalar(name, _) => name,
            Self::Object(_) => "an object",
            Self::List(_) => "a list of objects",
        };
        RoomConfigurationError::WrongType { path: String::new(), expected }
    }

    /// The fields of an object.
    #[cfg(feature = "server")]
    pub(crate) fn fields(self) -> impl Iterator<Item = Field> {
        let lists: &[&[Field]] = if let Self::Object(lists) = self { lists } else { &[] };
        lists.iter().copied().flatten().copied()
    }

    /// The type of the field `name` of an object, in either casing.
    #[cfg(feature = "server")]
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        self.fields().find(|(camel, _)| is_field(name, camel)).map(|(_, of)| of)
    }

    /// Appends `value`, which must have this type, to `out`. Known fields get their names in lowerCamelCase, the rest is unchanged.
    pub(crate) fn copy(self, value: &RawValue, unknown: Unknown, out: &mut Vec<u8>) -> Result<(), RoomConfigurationError> {
        match self {
            Self::Scalar(_, fits) if fits(value) => out.extend_from_slice(value.get().as_bytes()),
            Self::Scalar(..) => return Err(self.wrong()),
            Self::Object(known) => {
                let fields = Members::parse(value.get().as_bytes()).or(Err(self.wrong()))?;
                copy_fields(&fields, known, unknown, out)?;
            }
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
            }
        }
        Ok(())
    }
}

/// Appends an object with these `fields`. The `known` ones are checked, and named in lowerCamelCase.
fn copy_fields(
    fields: &Members<'_>,
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
