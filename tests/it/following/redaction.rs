//! Tests of what the reader of one room does not see in its events.

use serde_json::Value;

use super::support::{ALL, DAILY, Server};
use crate::fixtures::recorded;

/// An event of the room `daily` with `secrets` in each place where a secret can be.
fn body(id: &str, secret: impl Fn(&str) -> String) -> String {
    let s = |name: &str| format!("\"{name}\" :\t{}", secret(name));
    let deep = format!("{}{{{}}}{}", r#"{"x":[ "#.repeat(5_000), s("streamKey"), "]}".repeat(5_000));
    format!(
        concat!(
            r#" {{"event":"ingress_started" , "id":"{id}","room":{{"name":"daily",{a},"metadata":"{{\"turnPassword\":\"text\"}}"}},"#,
            r#""ingressInfo":{{ {b},"roomName":"daily","é\u00e9":"\ud83d\ude00" }},{c},"list":[{{{d}}},{{{e},"n":-1.50E+3}}],"#,
            r#""streamkey":"shown","turnPasswords":"shown","x-streamKey":"shown","value":"turnPassword","deep":{deep}}} "#,
        ),
        id = id,
        a = s("turnPassword"),
        b = s("streamKey"),
        c = s("turn_password"),
        d = s("stream_key"),
        e = s(r"stream\u004Bey"),
        deep = deep,
    )
}

const REDACTED: &str = "\"[redacted]\"";

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_at_any_depth_and_nothing_else() {
    let server = Server::start().await;
    let values = [
        "\"top secret\"",
        "\"top \\\"secret\\\\\"",
        "[\"top secret\",{\"a\":\"}\"}]",
        "{\"a\":{\"top secret\":[]}}",
        "12.5",
        "null",
    ];
    for (id, value) in values.iter().enumerate() {
        server.append(body(&id.to_string(), |_| (*value).to_owned())).await;
    }
    let page = String::from_utf8(server.get_as(DAILY, "/events").await.body.to_vec()).unwrap();
    let mut events = server.events_as(DAILY, "/events").await;
    for (id, value) in values.iter().enumerate() {
        let expected = body(&id.to_string(), |_| REDACTED.to_owned());
        assert!(page.contains(&format!("\"event\":{expected}}}")), "{value}");
        assert!(events.next().await.unwrap().data.unwrap() == expected, "{value}");
    }
    assert!(!page.contains("top secret"));
    // A reader of all rooms sees everything.
    let page = String::from_utf8(server.get_as(ALL, "/events?room=daily").await.body.to_vec()).unwrap();
    for (id, value) in values.iter().enumerate() {
        assert!(page.contains(&body(&id.to_string(), |_| (*value).to_owned())), "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_a_real_livekit() {
    let server = Server::start().await;
    let mut secrets = Vec::new();
    let mut rooms = Vec::new();
    for delivery in recorded() {
        let json = delivery.json();
        let secret = |part: &str, name: &str| json.get(part)?.get(name)?.as_str().map(str::to_owned);
        secrets.extend([secret("room", "turnPassword"), secret("ingressInfo", "streamKey")].into_iter().flatten());
        rooms.extend([secret("room", "name"), secret("ingressInfo", "roomName")].into_iter().flatten());
    }
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for delivery in recorded() {
        if !seen.contains(&delivery.body) {
            server.append(&delivery.body).await;
            seen.push(delivery.body);
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    assert!(!secrets.is_empty() && !rooms.is_empty(), "the recording has some");
    let mut shown = 0;
    for room in rooms {
        let answer = server.get_as(&format!(r#"{{"roomAdmin":true,"room":{}}}"#, Value::from(room)), "/events?limit=1000").await;
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!secrets.iter().any(|secret| page.contains(secret)));
        let Value::Array(events) = answer.json()["events"].take() else { panic!("{page}") };
        shown += events.len();
    }
    assert!(shown > 0);
    let page = String::from_utf8(server.get("/events?limit=1000").await.body.to_vec()).unwrap();
    assert!(secrets.iter().all(|secret| page.contains(secret)));
}

/// Every place in LiveKit's events where a secret can be. Each secret is written as `<secret>`.
const EVENTS: [&str; 5] = [
    concat!(
        r#"{"event":"egress_ended","id":"1","egressInfo":{"egressId":"EG_1","roomName":"daily","status":"EGRESS_FAILED","#,
        r#""roomComposite":{"roomName":"daily","customBaseUrl":"https://<secret>@recorder.example.com/?<secret>","#,
        r#""fileOutputs":[{"filepath":"a@b/c?d.mp4","s3":{"accessKey":"AKIA","secret":"<secret>","sessionToken":"<secret>","#,
        r#""assumeRoleArn":"arn:aws:iam::1:role/x","assumeRoleExternalId":"<secret>","endpoint":"https://s3.example.com","#,
        r#""metadata":{"url":"https://u:p@h/?q"},"proxy":{"url":"http://<secret>@proxy:3128","username":"u","password":"<secret>"}}},"#,
        r#"{"gcp":{"credentials":"<secret>","bucket":"b"}},{"azure":{"accountName":"n","accountKey":"<secret>"}},"#,
        r#"{"aliOSS":{"accessKey":"a","secret":"<secret>"}}],"#,
        r#""streamOutputs":[{"protocol":"RTMP","urls":["rtmp://live.example.com/app/<secret>","srt://[::1]:9000?<secret>","mux://<secret>"]}],"#,
        r#""webhooks":[{"url":"https://<secret>@example.com/hook?<secret>","signingKey":"APIkey"}]},"#,
        r#""streamResults":[{"url":"rtmps://<secret>@live.example.com:443/app/<secret>?<secret>","status":"FAILED","#,
        r#""error":"dial rtmps://<secret>@live.example.com:443/app/<secret>?<secret>: i/o timeout"}],"#,
        r#""fileResults":[{"filename":"x.mp4","size":"9007199254740993","location":"https://bucket.example.com/x@y.mp4?<secret>"}],"#,
        r#""segmentResults":[{"playlistLocation":"https://bucket.example.com/x.m3u8?<secret>"}],"#,
        r#""error":"Put \"https:\/\/<secret>@bucket.example.com\/x.mp4?<secret>\": 403","details":"see https://h.example/x?<secret>."}}"#,
    ),
    r#"{"event":"egress_started","id":"2","egressInfo":{"roomName":"daily","track":{"trackId":"TR_1","websocketUrl":"wss:\/\/<secret>\u0040h.example\/x\u003f<secret>"}}}"#,
    r#"{"event":"egress_started","id":"3","egress_info":{"room_name":"daily","web":{"url":"https://h.example/#<secret>","stream_outputs":[{"urls":["RTMP://h/<secret>"]}]}},"room":{"name":"daily"}}"#,
    concat!(
        r#"{"event":"ingress_started","id":"4","ingressInfo":{"ingressId":"IN_1","streamKey":"<secret>","roomName":"daily","#,
        r#""url":"https://<secret>@camera.example.com:8443/live.m3u8?<secret>","participantMetadata":"{\"url\":\"https://u:p@h?q\"}, rtmp://h/a/k","#,
        r#""state":{"status":"ENDPOINT_ERROR","error":"GET https://<secret>@camera.example.com:8443/live.m3u8?<secret> failed"}}}"#,
    ),
    concat!(
        r#"{"event":"agent_job_ended","id":"5","room":{"name":"daily","note":"to rtmp://h.example/live/<secret>","turnPassword":"<secret>","metadata":"see https://u:p@h?q"},"#,
        r#""job":{"room":{"name":"daily","turnPassword":"<secret>"},"attributes":{"url":"https://u:p@h?q","secret":"shown"},"#,
        r#""state":{"status":"JS_FAILED","error":"lost wss://agents.example.com/?<secret>, gave up"}}}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_of_livekits_events_and_the_rest_to_the_byte() {
    const SECRET: &str = "hunter2%40:s3cr3t";
    let server = Server::start().await;
    for event in EVENTS {
        server.append(event.replace("<secret>", SECRET)).await;
    }
    let page = String::from_utf8(server.get_as(DAILY, "/events").await.body.to_vec()).unwrap();
    let mut stream = server.events_as(DAILY, "/events").await;
    for event in EVENTS {
        let expected = event.replace("<secret>", "[redacted]");
        assert!(page.contains(&format!("\"event\":{expected}}}")), "{expected} is not in {page}");
        assert_eq!(stream.next().await.unwrap().data.unwrap(), expected);
    }
    assert!(!page.contains("hunter2") && !page.contains("s3cr3t"));
    let page = String::from_utf8(server.get_as(ALL, "/events?room=daily").await.body.to_vec()).unwrap();
    assert!(
        EVENTS.iter().all(|event| page.contains(&event.replace("<secret>", SECRET))),
        "a reader of all rooms sees everything"
    );
}
