//! Tests of room configurations: what LiveKit can read is accepted in either casing, what it cannot read is refused with its path,
//! and so is whatever the bearer of a token must not see.

use roomkey::{RoomConfiguration, RoomConfigurationError};
use serde_json::{Value, json};

fn read(json: &Value) -> Result<Value, RoomConfigurationError> {
    RoomConfiguration::from_json(json.to_string().as_bytes()).map(|config| serde_json::from_str(&config.to_json()).unwrap())
}

#[test]
fn an_empty_one_is_normal() {
    let config = RoomConfiguration::from_json(b" {} ").unwrap();
    assert!(config.is_empty() && !config.has_egress());
    assert_eq!(config.to_json(), "{}");
}

/// A configuration with every field, in snake_case, and the same in lowerCamelCase.
fn both_casings() -> (Value, Value) {
    let snake = json!({
        "name": "preset", "empty_timeout": 300, "departure_timeout": 20, "max_participants": 12, "metadata": "m",
        "egress": {"room": {"layout": "grid"}}, "min_playout_delay": 10, "max_playout_delay": 400, "sync_streams": true,
        "agents": [{
            "agent_name": "helper", "metadata": "x", "restart_policy": "JRP_NEVER", "deployment": "staging",
            "attributes": {"agent_name": "kept"}, "thread_id": "t1",
        }],
        "tags": {"max_participants": "kept"},
    });
    let camel = json!({
        "name": "preset", "emptyTimeout": 300, "departureTimeout": 20, "maxParticipants": 12, "metadata": "m",
        "egress": {"room": {"layout": "grid"}}, "minPlayoutDelay": 10, "maxPlayoutDelay": 400, "syncStreams": true,
        "agents": [{
            "agentName": "helper", "metadata": "x", "restartPolicy": "JRP_NEVER", "deployment": "staging",
            "attributes": {"agent_name": "kept"}, "threadId": "t1",
        }],
        "tags": {"max_participants": "kept"},
    });
    (snake, camel)
}

#[test]
fn both_casings_become_one() {
    let (snake, camel) = both_casings();
    assert_eq!(read(&snake).unwrap(), camel);
    assert_eq!(read(&camel).unwrap(), camel);
    assert!(RoomConfiguration::from_json(snake.to_string().as_bytes()).unwrap().has_egress());
}

#[test]
fn a_field_in_both_casings_is_refused_by_its_path() {
    for (path, json) in [
        ("emptyTimeout", json!({"emptyTimeout": 1, "empty_timeout": 1})),
        ("departureTimeout", json!({"departureTimeout": 1, "departure_timeout": 2})),
        ("maxParticipants", json!({"max_participants": 2, "maxParticipants": 1})),
        ("minPlayoutDelay", json!({"minPlayoutDelay": 1, "min_playout_delay": "x"})),
        ("maxPlayoutDelay", json!({"maxPlayoutDelay": 1, "max_playout_delay": 1})),
        ("syncStreams", json!({"syncStreams": true, "sync_streams": false})),
        ("agents.0.agentName", json!({"agents": [{"agentName": "a", "agent_name": "a"}]})),
        ("agents.1.restartPolicy", json!({"agents": [{}, {"restartPolicy": 0, "restart_policy": 0}]})),
        ("agents.0.threadId", json!({"agents": [{"threadId": "", "thread_id": ""}]})),
    ] {
        assert_eq!(read(&json), Err(RoomConfigurationError::BothCasings { path: path.to_owned() }), "{json}");
    }
    assert_eq!(read(&json!({"emptyTimeout": 1, "empty_timeout": null})), Ok(json!({"emptyTimeout": 1})), "null is absent");
}

#[test]
fn a_wrong_type_is_refused_by_its_path() {
    for (path, json) in [
        ("", json!([])),
        ("", json!(null)),
        ("", json!("{}")),
        ("", json!(0)),
        ("name", json!({"name": 1})),
        ("metadata", json!({"metadata": {"k": "v"}})),
        ("emptyTimeout", json!({"emptyTimeout": "soon"})),
        ("emptyTimeout", json!({"empty_timeout": "soon"})),
        ("emptyTimeout", json!({"emptyTimeout": ""})),
        ("emptyTimeout", json!({"emptyTimeout": " 5"})),
        ("emptyTimeout", json!({"emptyTimeout": "5 "})),
        ("emptyTimeout", json!({"emptyTimeout": "+5"})),
        ("emptyTimeout", json!({"emptyTimeout": "007"})),
        ("emptyTimeout", json!({"emptyTimeout": "0x5"})),
        ("emptyTimeout", json!({"emptyTimeout": "-1"})),
        ("emptyTimeout", json!({"emptyTimeout": "4294967296"})),
        ("departureTimeout", json!({"departureTimeout": 1.5})),
        ("maxParticipants", json!({"maxParticipants": -1})),
        ("maxParticipants", json!({"maxParticipants": 4_294_967_296_u64})),
        ("maxParticipants", json!({"maxParticipants": 1e300})),
        ("maxParticipants", json!({"maxParticipants": true})),
        ("minPlayoutDelay", json!({"minPlayoutDelay": [1]})),
        ("maxPlayoutDelay", json!({"max_playout_delay": {}})),
        ("syncStreams", json!({"syncStreams": "true"})),
        ("syncStreams", json!({"sync_streams": 1})),
        ("egress", json!({"egress": true})),
        ("egress", json!({"egress": []})),
        ("agents", json!({"agents": {}})),
        ("agents", json!({"agents": "helper"})),
        ("agents.0", json!({"agents": ["helper"]})),
        ("agents.0", json!({"agents": [null]})),
        ("agents.1", json!({"agents": [{}, []]})),
        ("agents.0.agentName", json!({"agents": [{"agent_name": 1}]})),
        ("agents.0.metadata", json!({"agents": [{"metadata": {}}]})),
        ("agents.2.restartPolicy", json!({"agents": [{}, {}, {"restartPolicy": true}]})),
        ("agents.0.restartPolicy", json!({"agents": [{"restartPolicy": 0.5}]})),
        ("agents.0.restartPolicy", json!({"agents": [{"restartPolicy": 2_147_483_648_u64}]})),
        ("agents.0.deployment", json!({"agents": [{"deployment": []}]})),
        ("agents.0.attributes", json!({"agents": [{"attributes": {"k": 1}}]})),
        ("agents.0.attributes", json!({"agents": [{"attributes": []}]})),
        ("agents.0.threadId", json!({"agents": [{"thread_id": false}]})),
        ("tags", json!({"tags": {"k": null}})),
        ("tags", json!({"tags": ["k"]})),
    ] {
        match read(&json) {
            Err(RoomConfigurationError::WrongType { path: found, .. }) => assert_eq!(found, path, "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
}

#[test]
fn numbers_are_taken_as_protobuf_writes_them() {
    for number in [json!(0), json!(4_294_967_295_u64), json!(5.0), json!("5"), json!("4294967295"), json!("0"), json!("1e3")] {
        let json = json!({"emptyTimeout": number});
        assert_eq!(read(&json), Ok(json.clone()));
    }
    for policy in [json!("JRP_ON_FAILURE"), json!("JRP_SOMETHING_NEW"), json!(1), json!(-1)] {
        let json = json!({"agents": [{"restartPolicy": policy}]});
        assert_eq!(read(&json), Ok(json.clone()));
    }
}

#[test]
fn null_is_as_absent() {
    let nothing = both_casings().0.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
    assert_eq!(read(&Value::Object(nothing)), Ok(json!({})));
    assert_eq!(read(&json!({"unknown": null, "name": "n"})), Ok(json!({"name": "n"})));
    assert_eq!(read(&json!({"agents": [{"agentName": null, "metadata": "m"}]})), Ok(json!({"agents": [{"metadata": "m"}]})));
    assert!(!RoomConfiguration::from_json(br#"{"egress":null}"#).unwrap().has_egress());
}

#[test]
fn what_is_unknown_is_kept() {
    let json = json!({
        "newField": {"deep": [1, 2.5, null, {"x_y": "z"}]}, "new_field": "other", "secret": "not an output's",
        "agents": [{"newField": [true]}],
    });
    assert_eq!(read(&json), Ok(json.clone()));
}

/// The fields of every object in a `roomConfig`, each with a value of its type, and with a field that LiveKit does not have.
fn with_unknown_fields(unknown: &Value) -> Value {
    let store = |store: &str, fields: Value| (store.to_owned(), with(fields, unknown));
    fn with(mut fields: Value, unknown: &Value) -> Value {
        let fields_of = fields.as_object_mut().unwrap();
        unknown.as_object().unwrap().iter().for_each(|(name, value)| drop(fields_of.insert(name.clone(), value.clone())));
        fields
    }
    let proxy = with(json!({"url": "http://proxy:3128", "username": "u"}), unknown);
    let stores = [
        store(
            "s3",
            json!({
                "accessKey": "a", "assumeRoleArn": "arn", "region": "r", "endpoint": "e", "bucket": "b", "forcePathStyle": true,
                "metadata": {"kept": "x"}, "tagging": "t", "contentDisposition": "c", "proxy": proxy,
            }),
        ),
        store("gcp", json!({"bucket": "b", "proxy": proxy})),
        store("azure", json!({"accountName": "a", "containerName": "c"})),
        store("aliOSS", json!({"accessKey": "a", "region": "r", "endpoint": "e", "bucket": "b"})),
    ];
    let output = |fields: Value| {
        let mut fields = with(fields, unknown);
        fields.as_object_mut().unwrap().extend(stores.clone());
        fields
    };
    let file = output(json!({"fileType": "MP4", "filepath": "f", "disableManifest": true}));
    let segments = output(json!({
        "protocol": "HLS_PROTOCOL", "filenamePrefix": "f", "playlistName": "p", "livePlaylistName": "l", "segmentDuration": 6,
        "filenameSuffix": 1, "disableManifest": false,
    }));
    let images = output(json!({
        "captureInterval": 5, "width": 640, "height": "480", "filenamePrefix": "f", "filenameSuffix": "IMAGE_SUFFIX_INDEX",
        "imageCodec": "IC_JPEG", "disableManifest": true,
    }));
    let advanced = with(
        json!({
            "width": 1920, "height": 1080, "depth": 24, "framerate": 30, "audioCodec": "OPUS", "audioBitrate": 128,
            "audioFrequency": 44100, "audioQuality": 0, "videoCodec": "H264_MAIN", "videoBitrate": 4500, "videoQuality": -1,
            "keyFrameInterval": 2.5,
        }),
        unknown,
    );
    let room = with(
        json!({
            "roomName": "r", "layout": "grid", "audioOnly": false, "audioMixing": "DUAL_CHANNEL_AGENT", "videoOnly": false,
            "customBaseUrl": "https://recorder.example.com", "file": file, "segments": segments, "preset": "H264_720P_30",
            "advanced": advanced, "fileOutputs": [file, file], "segmentOutputs": [segments], "imageOutputs": [images],
        }),
        unknown,
    );
    let participant =
        with(json!({"preset": 1, "advanced": advanced, "fileOutputs": [file], "segmentOutputs": [segments]}), unknown);
    let tracks = output(json!({"filepath": "f", "disableManifest": true}));
    let agent = with(
        json!({
            "agentName": "helper", "metadata": "x", "restartPolicy": "JRP_NEVER", "deployment": "staging",
            "attributes": {"kept": "x"}, "threadId": "t1",
        }),
        unknown,
    );
    with(
        json!({
            "name": "preset", "emptyTimeout": 300, "departureTimeout": 20, "maxParticipants": 12, "metadata": "m",
            "egress": with(json!({"room": room, "participant": participant, "tracks": tracks}), unknown), "minPlayoutDelay": 10,
            "maxPlayoutDelay": 400, "syncStreams": true, "agents": [agent, agent], "tags": {"kept": "x"},
        }),
        unknown,
    )
}

fn read_from_client(json: &Value) -> Result<Value, RoomConfigurationError> {
    let config = RoomConfiguration::from_client_json(json.to_string().as_bytes())?;
    Ok(serde_json::from_str(&config.to_json()).unwrap())
}

#[test]
fn of_a_client_only_the_known_fields_are_kept_at_every_depth() {
    let known = with_unknown_fields(&json!({}));
    let unknown = json!({"newField": {"deep": [1, {"name": "x"}]}, "new_field": "x", "signing_key": 1, "": [], "Name": "x"});
    let everywhere = with_unknown_fields(&unknown);
    assert_eq!(read_from_client(&everywhere), Ok(known.clone()));
    assert_eq!(read_from_client(&known), Ok(known));
    assert_eq!(read(&everywhere), Ok(everywhere), "the operator's own are kept");
    assert_eq!(read_from_client(&unknown), Ok(json!({})));
    assert_eq!(read_from_client(&json!({"tags": {"webhooks": "x"}})), Ok(json!({"tags": {"webhooks": "x"}})));
}

#[test]
fn a_client_does_not_say_where_events_go() {
    let webhook = json!([{"url": "https://example.com", "signingKey": "devkey"}]);
    for (path, pointer) in [
        ("webhooks", ""),
        ("egress.room.webhooks", "/egress/room"),
        ("egress.participant.webhooks", "/egress/participant"),
        ("agents.1.webhooks", "/agents/1"),
    ] {
        for webhooks in [&webhook, &json!([{}]), &json!({}), &json!("x"), &json!(0)] {
            let mut config = with_unknown_fields(&json!({}));
            config.pointer_mut(pointer).unwrap()["webhooks"] = webhooks.clone();
            assert_eq!(read_from_client(&config), Err(RoomConfigurationError::Webhooks { path: path.to_owned() }), "{webhooks}");
            assert_eq!(read(&config), Ok(config), "the operator may");
        }
    }
    for none in [json!([]), json!(null)] {
        assert_eq!(read_from_client(&json!({"webhooks": none})), Ok(json!({})), "some libraries write every field");
    }
}

/// Where LiveKit reads outputs from: each place holds an output in its last member.
fn outputs() -> Vec<(String, Value)> {
    let mut places = Vec::new();
    for (outer, outputs) in [
        ("room", &["fileOutputs", "file_outputs", "segmentOutputs", "segment_outputs", "imageOutputs", "image_outputs"][..]),
        ("participant", &["fileOutputs", "file_outputs", "segmentOutputs", "segment_outputs"][..]),
    ] {
        for output in outputs {
            places.push((format!("egress.{outer}.{output}.1"), json!({outer: {*output: [{}, "HERE"]}})));
        }
    }
    places.push(("egress.room.file".to_owned(), json!({"room": {"file": "HERE"}})));
    places.push(("egress.room.segments".to_owned(), json!({"room": {"segments": "HERE"}})));
    places.push(("egress.tracks".to_owned(), json!({"tracks": "HERE"})));
    places
}

#[test]
fn a_credential_is_refused_in_every_output() {
    let credentials = [
        ("s3", "secret"),
        ("s3", "sessionToken"),
        ("s3", "session_token"),
        ("s3", "assumeRoleExternalId"),
        ("s3", "assume_role_external_id"),
        ("aliOSS", "secret"),
        ("ali_oss", "secret"),
        ("gcp", "credentials"),
        ("azure", "accountKey"),
        ("azure", "account_key"),
    ];
    for (place, template) in outputs() {
        for (store, name) in credentials {
            let with = |value: &str| {
                let output = json!({store: {name: value, "bucket": "b"}, "filepath": "x.mp4"});
                let egress = template.to_string().replace(r#""HERE""#, &output.to_string());
                json!({"name": "n", "egress": serde_json::from_str::<Value>(&egress).unwrap()})
            };
            let path = format!("{place}.{store}.{name}");
            assert_eq!(read(&with("hunter2")), Err(RoomConfigurationError::Credentials { path }));
            assert!(read(&with("")).is_ok(), "an empty one gives nothing away");
        }
    }
}

#[test]
fn a_proxys_password_is_refused_and_so_is_one_in_a_url() {
    for (field, value, path) in [
        ("proxy", json!({"url": "http://proxy:3128", "username": "u", "password": "hunter2"}), ".password"),
        ("proxy", json!({"url": "http://u:hunter2@proxy:3128"}), ".url"),
        ("proxy", json!({"url": "u:hunter2@proxy"}), ".url"),
        ("endpoint", json!("https://u:hunter2@minio:9000"), ""),
    ] {
        for (place, template) in outputs() {
            for store in ["s3", "gcp"] {
                let output = json!({store: {field: value}});
                let egress = template.to_string().replace(r#""HERE""#, &output.to_string());
                let config = json!({"egress": serde_json::from_str::<Value>(&egress).unwrap()});
                let path = format!("{place}.{store}.{field}{path}");
                assert_eq!(read(&config), Err(RoomConfigurationError::Credentials { path }));
            }
        }
    }
    for name in ["customBaseUrl", "custom_base_url"] {
        let config = |url: &str| json!({"egress": {"room": {name: url}}});
        let path = format!("egress.room.{name}");
        assert_eq!(read(&config("https://u:hunter2@h/")), Err(RoomConfigurationError::Credentials { path }));
        assert!(read(&config("https://recorder.example.com/?theme=dark")).is_ok(), "a query is no credential");
    }
    let open = json!({"egress": {"tracks": {"s3": {"proxy": {"url": "http://proxy:3128", "username": "u", "password": ""}}}}});
    assert_eq!(read(&open), Ok(open));
}

#[test]
fn stream_outputs_are_refused() {
    for name in ["streamOutputs", "stream_outputs", "stream"] {
        let with = |outputs: Value| json!({"egress": {"room": {name: outputs}}});
        let refused = Err(RoomConfigurationError::Credentials { path: format!("egress.room.{name}") });
        for outputs in [json!([{"protocol": "RTMP", "urls": ["rtmp://example.com/key"]}]), json!([{}]), json!({}), json!("x")] {
            assert_eq!(read(&with(outputs)), refused);
        }
        assert!(read(&with(json!([]))).is_ok());
    }
}

#[test]
fn a_refusal_names_the_field_and_not_its_value() {
    let json = json!({"egress": {"tracks": {"s3": {"secret": "hunter2"}}}});
    let error = read(&json).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_eq!(error.to_string(), "egress.tracks.s3.secret must not stand in a token, which its bearer can read");
    assert_eq!(read(&json!([])).unwrap_err().to_string(), "must be an object");
    assert_eq!(read(&json!({"name": 1})).unwrap_err().to_string(), "name must be a string");
}

#[test]
fn what_is_no_json_is_refused() {
    let deep = crate::fixtures::nested_objects(100_000);
    for json in [&b""[..], b"{", b"{}x", b"{\"name\":\"\xff\"}"] {
        let error = RoomConfiguration::from_json(json).unwrap_err();
        assert!(matches!(error, RoomConfigurationError::WrongType { path, .. } if path.is_empty()));
    }
    assert_eq!(RoomConfiguration::from_json(deep.as_bytes()), Err(RoomConfigurationError::TooDeep { limit: 32 }));
}
