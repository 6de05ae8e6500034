//! Tests the reading of events: the recorded ones, and unusual bodies that are authentic.

use std::borrow::Cow;

use roomkey::livekit::event::{EVENTS, NotAnEvent};
use roomkey::{EventDetails, WebhookEvent};
use serde_json::{Map, Value};

use crate::fixtures::{digest, forge_with, nested_lists, nested_objects, now, receiver, recorded};

fn parse(body: &str) -> Result<WebhookEvent<'_>, NotAnEvent> {
    WebhookEvent::parse(body.as_bytes())
}

/// The strings `names` of the object `part` of `json`. One that is absent is empty, as in protobuf.
fn texts<'a, const N: usize>(json: &'a Map<String, Value>, part: &str, names: [&str; N]) -> Option<[&'a str; N]> {
    let part = json.get(part)?;
    Some(names.map(|name| part.get(name).map_or("", |value| value.as_str().unwrap())))
}

#[test]
fn recorded_events_say_what_their_bodies_say() {
    for each in recorded() {
        let json = each.json();
        let event = WebhookEvent::parse(&each.body).unwrap();
        assert_eq!(event.event, each.event());
        assert_eq!(event.id, json["id"].as_str().unwrap());
        assert_eq!(event.created_at.unwrap().as_secs().to_string(), json["createdAt"].as_str().unwrap());
        assert_eq!(event.num_dropped, 0);
        assert_eq!(event.room_end_reason, json.get("roomEndReason").map_or("", |reason| reason.as_str().unwrap()));
        let room = if each.folder == "deliveries" { "daily-standup" } else { "Raum \"Ω\" / 42" };
        assert_eq!(event.room_name(), Some(room), "{}", each.name);

        let room = event.room.as_ref().map(|room| [&*room.sid, &*room.name]);
        assert_eq!(room, texts(&json, "room", ["sid", "name"]), "{}", each.name);
        let participant = event.participant.as_ref().map(|who| [&*who.sid, &*who.identity, &*who.name]);
        assert_eq!(participant, texts(&json, "participant", ["sid", "identity", "name"]), "{}", each.name);
        let track = event.track.as_ref().map(|track| [&*track.sid, &*track.name, &*track.kind, &*track.source]);
        assert_eq!(track, texts(&json, "track", ["sid", "name", "type", "source"]), "{}", each.name);
        let egress = event.egress_info.as_ref().map(|egress| [&*egress.egress_id, &*egress.room_name, &*egress.status]);
        assert_eq!(egress, texts(&json, "egressInfo", ["egressId", "roomName", "status"]), "{}", each.name);
        let ingress = event
            .ingress_info
            .as_ref()
            .map(|ingress| [&*ingress.ingress_id, &*ingress.room_name, &*ingress.participant_identity]);
        assert_eq!(ingress, texts(&json, "ingressInfo", ["ingressId", "roomName", "participantIdentity"]), "{}", each.name);
        assert_eq!(event.job, None);
    }
}

#[test]
fn events_are_read_alike_in_one_pass_and_member_by_member() {
    let job = r#"{"event":"agent_job_started","id":"EV_1","createdAt":"7","numDropped":3,"roomEndReason":"R","job":{"id":"AJ_1","room":{"sid":"RM_1"}}}"#;
    let bodies = recorded().iter().map(|each| each.body.clone()).chain([job.into()]).collect::<Vec<Vec<u8>>>();
    for body in bodies {
        let space = [b" ", &body[..]].concat(); // which LiveKit never writes
        assert_eq!(WebhookEvent::parse(&body).unwrap(), WebhookEvent::parse(&space).unwrap());
    }
}

#[test]
fn the_room_of_a_job_is_read() {
    let event = parse(
        r#"{"event":"agent_job_started","job":{"id":"AJ_1","agentName":"helper","room":{"sid":"RM_1","name":"r"},"type":"JT_ROOM"}}"#,
    )
    .unwrap();
    assert_eq!(event.room_name(), Some("r"));
    let job = event.job.unwrap();
    assert_eq!((&*job.id, &*job.agent_name, &*job.room.unwrap().sid), ("AJ_1", "helper", "RM_1"));
}

#[test]
fn unknown_events_and_fields_fail_nothing() {
    let event = parse(
        r#"{"event":"room_painted","colour":"red","room":{"name":"r","shape":{"corners":4}},"createdAt":"7","numDropped":3,
            "participant":{"identity":"alice","state":17,"kind":"NEW_KIND"},"huge":1e999,"negative":-1e-999}"#,
    )
    .unwrap();
    assert_eq!((&*event.event, event.room_name(), event.num_dropped), ("room_painted", Some("r"), 3));
    assert_eq!(event.created_at.unwrap().as_secs(), 7);
    assert_eq!(event.participant.unwrap().identity, "alice");
}

#[test]
fn a_member_of_a_wrong_type_counts_as_absent() {
    let nothing = parse("{}").unwrap();
    for wrong in ["null", "true", "-1.5", "1e999", r#""\ud800""#, r#"[{"name":"r"}]"#] {
        let members = [
            "event",
            "id",
            "createdAt",
            "numDropped",
            "roomEndReason",
            "room",
            "participant",
            "track",
            "egressInfo",
            "ingressInfo",
            "job",
        ];
        let body = members.map(|name| format!(r#""{name}":{wrong}"#)).join(",");
        assert_eq!(parse(&format!("{{{body}}}")).unwrap(), nothing, "{wrong}");
    }
    let event = parse(r#"{"event":7,"id":"EV_1","room":{"name":["x"],"sid":"RM_1"},"job":{"room":"r","id":{}}}"#).unwrap();
    assert_eq!((&*event.event, &*event.id, &*event.room.unwrap().sid), ("", "EV_1", "RM_1"));
    assert_eq!(event.job.unwrap().room, None);
}

#[test]
fn integers_are_read_as_strings_and_as_numbers() {
    for (json, expected) in [
        (r#""1795317315""#, Some(1_795_317_315)),
        ("1795317315", Some(1_795_317_315)),
        (r#""9007199254740993""#, Some(9_007_199_254_740_993)),
        (r#""18446744073709551615""#, Some(u64::MAX)),
        (r#""18446744073709551616""#, None),
        (r#""-1""#, None),
        (r#""""#, None),
        (r#""0x10""#, None),
        ("-1", None),
    ] {
        let body = format!(r#"{{"createdAt":{json},"numDropped":{json}}}"#);
        let event = parse(&body).unwrap();
        assert_eq!(event.created_at.map(|at| at.as_secs()), expected, "{json}");
        assert_eq!(event.num_dropped, expected.unwrap_or(0), "{json}");
    }
}

#[test]
fn the_last_of_duplicate_members_counts() {
    let event =
        parse(r#"{"event":"a","room":{"name":"x","name":"y"},"event":"b","room":{"sid":"RM_1"},"\u0065vent":"c"}"#).unwrap();
    assert_eq!(event.event, "c");
    let room = event.room.unwrap();
    assert_eq!((&*room.name, &*room.sid), ("", "RM_1"));
}

#[test]
fn strings_are_borrowed_unless_they_have_escapes() {
    let event = parse(r#"{"event":"room_started","id":"EV_\u00e9\ud83d\ude80"}"#).unwrap();
    assert!(matches!(event.event, Cow::Borrowed("room_started")));
    assert_eq!(event.id, "EV_é🚀");
}

#[test]
fn a_room_without_a_name_has_none() {
    assert_eq!(parse("{}").unwrap().room_name(), None);
    assert_eq!(parse(r#"{"room":{"sid":"RM_1"},"job":{}}"#).unwrap().room_name(), None);
    let egress = parse(r#"{"room":{"name":""},"egressInfo":{"roomName":"r"}}"#).unwrap();
    assert_eq!(egress.room_name(), Some("r"));
}

#[test]
fn a_body_that_is_no_object_is_delivered_and_no_event() {
    let bodies: [&[u8]; 15] = [
        b"",
        b" ",
        b"null",
        b"true",
        b"1",
        b"\"event\"",
        b"[]",
        br#"[{"event":"room_started"}]"#,
        b"{",
        b"{}{}",
        br#"{"event":}"#,
        b"{'event':'x'}",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b"{\"event\":\"\xff\"}",
    ];
    for body in bodies {
        let token = forge_with(&format!(r#""sha256":"{}""#, digest(body)));
        let delivery = receiver().receive(&token, body, now()).unwrap();
        assert_eq!(delivery.body(), body);
        assert!(delivery.event().is_err(), "{:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_body_of_100_000_levels_is_delivered_and_overflows_no_stack() {
    let (objects, lists) = (nested_objects(100_000), nested_lists(100_000));
    let rows = [
        (Some(""), objects.clone()),
        (None, lists.clone()),
        (None, "[".repeat(100_000)),
        (None, r#"{"x":"#.repeat(100_000)),
        (Some("e"), format!(r#"{{"event":"e","x":{objects}}}"#)),
        (Some("e"), format!(r#"{{"event":"e","x":{lists}}}"#)),
        (Some("e"), format!(r#"{{"event":"e","room":{objects},"participant":{lists},"createdAt":{objects},"id":{lists}}}"#)),
        (Some("e"), format!(r#"{{"event":"e","job":{{"room":{{"name":{objects}}}}}}}"#)),
        (Some(""), format!(r#"{{"event":{lists}}}"#)),
    ];
    for (expected, body) in rows {
        let token = forge_with(&format!(r#""sha256":"{}""#, digest(&body)));
        let delivery = receiver().receive(&token, &body, now()).unwrap();
        assert_eq!(delivery.event().ok().as_ref().map(|event| &*event.event), expected, "{body:.60}");
    }
}

#[test]
fn a_delivery_shows_nothing_of_its_body() {
    for each in recorded() {
        let delivery = receiver().receive(&each.authorization, &each.body, roomkey::UnixTime::from_secs(each.at)).unwrap();
        let event = delivery.event().unwrap();
        for (part, secret) in [("room", "turnPassword"), ("ingressInfo", "streamKey")] {
            if let Some(secret) = each.json().get(part).and_then(|part| part.get(secret)) {
                let secret = secret.as_str().unwrap();
                assert!(!format!("{delivery:?} {delivery:#?} {event:?}").contains(secret), "{}", each.name);
            }
        }
        assert_eq!(format!("{delivery:?}"), format!("Delivery {{ key: {:?}, bytes: {}, .. }}", each.key, each.body.len()));
    }
}

#[test]
fn the_list_of_events_has_every_recorded_one_and_none_twice() {
    for each in recorded() {
        assert!(EVENTS.contains(&each.event()), "{}", each.name);
    }
    let names = std::collections::BTreeSet::from(EVENTS);
    assert_eq!(names.len(), EVENTS.len());
}

#[test]
fn an_event_with_the_most_that_a_room_and_a_participant_may_hold_is_read() {
    for metadata in [r#"\""#, r"\u0001"].map(|escape| escape.repeat(512 * 1024)) {
        let attributes: Vec<_> = (0..22_000).map(|name| format!(r#""{name:x}":"""#)).collect();
        let participant = format!(r#"{{"identity":"alice","metadata":"{metadata}","attributes":{{{}}}}}"#, attributes.join(","));
        let body = format!(
            r#"{{"event":"participant_left","room":{{"metadata":"{metadata}","name":"daily"}},"participant":{participant},"id":"EV"}}"#
        );
        let event = WebhookEvent::parse(body.as_bytes()).unwrap();
        assert_eq!((&*event.id, event.room_name()), ("EV", Some("daily")));
        assert_eq!(event.participant.unwrap().identity, "alice");
        assert!(EventDetails::parse(body.as_bytes()).is_ok());
    }
}

#[test]
fn a_body_of_more_values_than_any_event_has_is_no_event() {
    let many = |count: usize| format!(r#"{{"event":"room_started","x":[{}]}}"#, vec!["1"; count].join(","));
    assert_eq!(WebhookEvent::parse(many(39_000).as_bytes()).unwrap().event, "room_started");
    assert!(WebhookEvent::parse(many(41_000).as_bytes()).is_err());
    let long = |count: usize| format!(r#"{{"event":"{}"}}"#, r"\n".repeat(count));
    assert_eq!(WebhookEvent::parse(long(300_000).as_bytes()).unwrap().event.len(), 300_000);
    assert!(WebhookEvent::parse(long(1_300_000).as_bytes()).is_err());
    // Long texts without escapes, commas and brackets in them included, take no time.
    let text = ",[{".repeat(2_000_000);
    assert_eq!(WebhookEvent::parse(format!(r#"{{"event":"{text}"}}"#).as_bytes()).unwrap().event, text);
}
