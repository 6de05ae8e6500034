//! Tests of the details of events: of the recorded ones, and of bodies that are authentic and strange.

use roomkey::EventDetails;
use serde_json::{Map, Value};

use crate::fixtures::{nested_lists, nested_objects, receiver, recorded};

fn parse(body: &str) -> EventDetails<'_> {
    EventDetails::parse(body.as_bytes()).unwrap()
}

/// The member `name` as text; empty where it is not there, as protobuf has it.
fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json.get(name).map_or("", |value| value.as_str().unwrap())
}

fn flag(json: &Value, name: &str) -> bool {
    json.get(name).is_some_and(|value| value.as_bool().unwrap())
}

/// A 64-bit integer, which protobuf's JSON writes as a string.
fn long(json: &Value, name: &str) -> Option<u64> {
    json.get(name).map(|value| value.as_str().unwrap().parse().unwrap())
}

fn short(json: &Value, name: &str) -> u64 {
    json.get(name).map_or(0, |value| value.as_u64().unwrap())
}

fn part<'a>(json: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    json.get(name)
}

#[test]
fn recorded_details_say_what_their_bodies_say() {
    for each in recorded() {
        let (name, json) = (&each.name, each.json());
        let delivery = receiver().receive(&each.authorization, &each.body, roomkey::UnixTime::from_secs(each.at)).unwrap();
        let details = delivery.details().unwrap();

        assert_eq!(details.room.is_some(), json.contains_key("room"), "{name}");
        if let (Some(room), Some(json)) = (&details.room, part(&json, "room")) {
            assert_eq!(room.metadata, text(json, "metadata"), "{name}");
            assert_eq!(room.creation_time_ms, long(json, "creationTimeMs"), "{name}");
            assert_eq!(room.active_recording, flag(json, "activeRecording"), "{name}");
        }
        assert_eq!(details.participant.is_some(), json.contains_key("participant"), "{name}");
        if let (Some(participant), Some(json)) = (&details.participant, part(&json, "participant")) {
            assert_eq!(participant.metadata, text(json, "metadata"), "{name}");
            assert_eq!(participant.state, text(json, "state"), "{name}");
            assert_eq!(participant.kind, text(json, "kind"), "{name}");
            assert_eq!(participant.joined_at_ms, long(json, "joinedAtMs"), "{name}");
            assert_eq!(participant.disconnect_reason, text(json, "disconnectReason"), "{name}");
            assert_eq!(
                serde_json::to_value(&participant.attributes).unwrap(),
                json.get("attributes").cloned().unwrap_or_else(|| Map::new().into())
            );
            let permission = json.get("permission");
            assert_eq!(participant.permission.is_some(), permission.is_some(), "{name}");
            if let (Some(permission), Some(json)) = (&participant.permission, permission) {
                let told = [permission.can_subscribe, permission.can_publish, permission.can_publish_data, permission.hidden];
                assert_eq!(
                    told,
                    ["canSubscribe", "canPublish", "canPublishData", "hidden"].map(|name| flag(json, name)),
                    "{name}"
                );
            }
        }
        assert_eq!(details.track.is_some(), json.contains_key("track"), "{name}");
        if let (Some(track), Some(json)) = (&details.track, part(&json, "track")) {
            assert_eq!((track.muted, &*track.mime_type), (flag(json, "muted"), text(json, "mimeType")), "{name}");
            assert_eq!([track.width, track.height].map(u64::from), ["width", "height"].map(|name| short(json, name)), "{name}");
        }
        assert_eq!(details.egress_info.is_some(), json.contains_key("egressInfo"), "{name}");
        if let (Some(egress), Some(json)) = (&details.egress_info, part(&json, "egressInfo")) {
            assert_eq!(egress.error, text(json, "error"), "{name}");
            let times = [egress.started_at, egress.updated_at, egress.ended_at];
            assert_eq!(times, ["startedAt", "updatedAt", "endedAt"].map(|name| long(json, name)), "{name}");
            let results = [egress.file_results.len(), egress.stream_results.len(), egress.segment_results.len()];
            let in_json = |name| json.get(name).map_or(0, |list: &Value| list.as_array().unwrap().len());
            assert_eq!(results, ["fileResults", "streamResults", "segmentResults"].map(in_json), "{name}");
        }
        assert_eq!(details.ingress_info.is_some(), json.contains_key("ingressInfo"), "{name}");
        if let (Some(ingress), Some(json)) = (&details.ingress_info, part(&json, "ingressInfo")) {
            assert_eq!(ingress.input_type, text(json, "inputType"), "{name}");
            assert_eq!(ingress.state.as_ref().map(|state| &*state.status), json.get("state").map(|state| text(state, "status")));
        }
        assert_eq!(details.job, None);
    }
}

#[test]
fn an_egress_tells_its_results() {
    let recorded = recorded();
    let body = &recorded.iter().find(|each| each.name == "013-egress_ended").unwrap().body;
    let egress = EventDetails::parse(body).unwrap().egress_info.unwrap();
    let [file] = &egress.file_results[..] else { panic!("one file") };
    assert_eq!((&*file.filename, file.size), ("recordings/daily-standup.mp4", 9_007_199_254_740_993));
    assert_eq!((file.started_at, file.ended_at), (Some(1_795_317_317_514_333_345), Some(1_795_317_318_635_919_768)));
    assert_eq!((file.duration, &*file.location), (1_121_586_423, "https://bucket.example.com/recordings/daily-standup.mp4"));
    let [stream] = &egress.stream_results[..] else { panic!("one stream") };
    assert_eq!((&*stream.url, &*stream.status), ("rtmp://live.example.com/app/{x...y}", "FINISHED"));

    let details = parse(
        r#"{"egressInfo":{"segmentResults":[{"playlistName":"a.m3u8","livePlaylistName":"b.m3u8","duration":"7","size":"8",
            "playlistLocation":"c","livePlaylistLocation":"d","segmentCount":"9","startedAt":"10","endedAt":"11"}]}}"#,
    );
    let egress = details.egress_info.unwrap();
    let [segments] = &egress.segment_results[..] else { panic!("one playlist") };
    assert_eq!((&*segments.playlist_name, &*segments.live_playlist_name), ("a.m3u8", "b.m3u8"));
    assert_eq!((&*segments.playlist_location, &*segments.live_playlist_location), ("c", "d"));
    assert_eq!((segments.duration, segments.size, segments.segment_count), (7, 8, 9));
    assert_eq!((segments.started_at, segments.ended_at), (Some(10), Some(11)));
}

#[test]
fn a_job_tells_its_state() {
    let details = parse(
        r#"{"job":{"id":"AJ_1","room":{"metadata":"m"},"state":{"status":"JS_FAILED","error":"e","startedAt":"1","endedAt":"2",
            "updatedAt":"3","participantIdentity":"agent-1"}}}"#,
    );
    let job = details.job.unwrap();
    let state = job.state.unwrap();
    assert_eq!((&*state.status, &*state.error, &*state.participant_identity), ("JS_FAILED", "e", "agent-1"));
    assert_eq!([state.started_at, state.ended_at, state.updated_at], [1, 2, 3].map(Some));
    assert_eq!(job.room.unwrap().metadata, "m");
}

#[test]
fn an_enum_s_unknown_value_is_kept_as_text() {
    let details = parse(
        r#"{"participant":{"state":17,"kind":"ROBOT","disconnectReason":99,"permission":{"canPublishSources":["CAMERA",9]}},
            "ingressInfo":{"inputType":-3,"state":{"status":8}},"egressInfo":{"streamResults":[{"status":5}]},
            "job":{"state":{"status":12}}}"#,
    );
    let participant = details.participant.unwrap();
    assert_eq!([&*participant.state, &*participant.kind, &*participant.disconnect_reason], ["17", "ROBOT", "99"]);
    assert_eq!(participant.permission.unwrap().can_publish_sources, ["CAMERA", "9"]);
    let ingress = details.ingress_info.unwrap();
    assert_eq!((&*ingress.input_type, &*ingress.state.unwrap().status), ("-3", "8"));
    assert_eq!(details.egress_info.unwrap().stream_results[0].status, "5");
    assert_eq!(details.job.unwrap().state.unwrap().status, "12");

    let event = roomkey::WebhookEvent::parse(
        br#"{"event":"e","roomEndReason":9,"track":{"type":4,"source":5,"sid":6},"egressInfo":{"status":77}}"#,
    )
    .unwrap();
    let track = event.track.unwrap();
    assert_eq!([&*track.kind, &*track.source, &*track.sid], ["4", "5", ""], "a number is no id");
    assert_eq!((&*event.room_end_reason, &*event.egress_info.unwrap().status), ("9", "77"));
}

#[test]
fn a_detail_of_a_wrong_type_is_as_if_it_were_not_there() {
    let nothing = parse(r#"{"room":{},"participant":{},"track":{},"egressInfo":{},"ingressInfo":{},"job":{}}"#);
    for wrong in
        ["null", "1.5", "1e999", r#""\ud800""#, "[[]]", "[1.5]", r#"{"a":1.5}"#, &nested_lists(10_000), &nested_objects(10_000)]
    {
        let part = |names: &[&str]| names.iter().map(|name| format!(r#""{name}":{wrong}"#)).collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"room":{{{}}},"participant":{{{}}},"track":{{{}}},"egressInfo":{{{}}},"ingressInfo":{{{}}},"job":{{}}}}"#,
            part(&["metadata", "creationTimeMs", "activeRecording"]),
            part(&["metadata", "attributes", "state", "kind", "joinedAtMs", "disconnectReason"]),
            part(&["muted", "mimeType", "width", "height"]),
            part(&["error", "startedAt", "updatedAt", "endedAt", "fileResults", "streamResults", "segmentResults"]),
            part(&["inputType"]),
        );
        let details = parse(&body);
        assert_eq!(details, nothing, "{wrong:.40}");
    }
    for wrong in ["null", "true", "7", r#""x""#, "[]"] {
        let body = format!(r#"{{"room":{wrong},"participant":{{"permission":{wrong}}},"ingressInfo":{{"state":{wrong}}}}}"#);
        let details = parse(&body);
        assert_eq!((details.room, details.participant.unwrap().permission), (None, None), "{wrong}");
        assert_eq!(details.ingress_info.unwrap().state, None, "{wrong}");
    }
    let details =
        parse(r#"{"participant":{"attributes":{"a":"1","b":2,"a":"3"}},"egressInfo":{"fileResults":[7,{"size":"9"}]}}"#);
    let attributes = details.participant.unwrap().attributes;
    assert_eq!(attributes.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), [("a", "3")]);
    assert_eq!(details.egress_info.unwrap().file_results[0].size, 9);
}

#[test]
fn a_time_of_zero_is_no_time() {
    let details = parse(r#"{"room":{"creationTimeMs":"0"},"participant":{"joinedAtMs":5},"track":{"width":4294967296}}"#);
    assert_eq!(details.room.unwrap().creation_time_ms, None);
    assert_eq!(details.participant.unwrap().joined_at_ms, Some(5));
    assert_eq!(details.track.unwrap().width, 0, "more than 32 bits");
}

#[test]
fn what_is_no_event_has_no_details() {
    let many = format!(r#"{{"x":[{}]}}"#, vec!["1"; 1_000_000].join(","));
    for body in ["", "null", "[]", "{", "{}{}", "\u{feff}{}", &many] {
        assert!(EventDetails::parse(body.as_bytes()).is_err(), "{body:.20}");
    }
    assert!(EventDetails::parse(b"{\"x\":\"\xff\"}").is_err());
    assert_eq!(parse(" {} "), EventDetails::default());
}
