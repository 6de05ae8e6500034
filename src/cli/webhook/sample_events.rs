//! Sample payloads of every event that LiveKit sends, with the fields, names and number formats of recorded ones (protobuf's JSON:
//! 64-bit numbers as strings, no zero values). Does not know how they are signed or sent.
//!
//! In the templates `?` becomes 12 random letters, and `$ROOM`, `$IDENTITY` and `$NOW` the values for the sample.

use crate::cli::Failure;
use crate::clock::UnixTime;
use crate::policy::random_name;

/// The number of letters after the prefix of an id (livekit/protocol `utils/guid`).
const ID_LETTERS: usize = 12;

const ROOM: &str = r#""room":{"sid":"RM_?","name":$ROOM,"emptyTimeout":300,"departureTimeout":20,"creationTime":"$NOW","creationTimeMs":"$NOW000","turnPassword":"sample-???","enabledCodecs":[{"mime":"audio/opus"},{"mime":"audio/red"},{"mime":"video/VP8"},{"mime":"video/H264"}]}"#;
const PARTICIPANT: &str = r#""participant":{"sid":"PA_?","identity":$IDENTITY,"state":"$STATE","joinedAt":"$NOW","joinedAtMs":"$NOW000","name":$IDENTITY,"version":$VERSION,"permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true}$REASON}"#;
/// Events of tracks have a shortened room and participant.
const TRACK: &str = r#""room":{"sid":"RM_?","name":$ROOM},"participant":{"sid":"PA_?","identity":$IDENTITY},"track":{"sid":"TR_VC?","type":"VIDEO","name":"camera","width":1280,"height":720,"source":"CAMERA","layers":[{"quality":"HIGH","width":1280,"height":720,"bitrate":1700000,"ssrc":285806433}],"mimeType":"video/VP8","mid":"2","stream":"camera","version":{"unixMicro":"$NOW000000"}}"#;
const EGRESS: &str = r#""egressInfo":{"egressId":"EG_?","roomId":"RM_?","roomName":$ROOM,$STATE"roomComposite":{"roomName":$ROOM,"layout":"speaker","fileOutputs":[{"fileType":"MP4","filepath":"recordings/{room_name}-{time}.mp4"}]}$RESULTS}"#;
const EGRESS_RESULTS: &str = r#","fileResults":[{"filename":"recordings/sample.mp4","startedAt":"$NOW000000000","endedAt":"$NOW000000000","duration":"60000000000","size":"7340032","location":"https://bucket.example.com/recordings/sample.mp4"}]"#;
const INGRESS: &str = r#""ingressInfo":{"ingressId":"IN_?","name":"camera","streamKey":"sample-?","inputType":"WHIP_INPUT","bypassTranscoding":true,"enableTranscoding":false,"roomName":$ROOM,"participantIdentity":$IDENTITY,"participantName":$IDENTITY,"reusable":true,"state":{$STATE"video":{"mimeType":"video/H264","averageBitrate":2500000,"width":1920,"height":1080,"framerate":29.97},"audio":{"mimeType":"audio/opus","averageBitrate":128000,"channels":2,"sampleRate":48000},"roomId":"RM_?","startedAt":"$NOW000000000"$ENDED,"resourceId":"RES_?"}}"#;
/// See livekit/protocol `protobufs/livekit_agent.proto`.
const JOB: &str = r#""job":{"id":"$JOB","dispatchId":"AD_?","room":{"sid":"RM_?","name":$ROOM},"agentName":"helper","state":{$STATE"updatedAt":"$NOW000000000"$WORKER}}"#;
const JOB_WORKER: &str = r#","participantIdentity":"agent-$JOB","workerId":"AW_?""#;

/// The id and the body of a sample of `event`.
pub(super) fn sample(event: &str, room: &str, identity: &str, now: UnixTime) -> Result<(String, Vec<u8>), Failure> {
    let (id, job, now) = (random_name("EV_", ID_LETTERS)?, random_name("AJ_", ID_LETTERS)?, now.as_secs());
    let members = with_ids(&template(event))?.replace("$JOB", &job).replace("$NOW", &now.to_string());
    // The names come last, in one pass, because they may contain what looks like a placeholder.
    let members = members.split("$ROOM").map(|part| part.replace("$IDENTITY", &quoted(identity)));
    let members = members.collect::<Vec<_>>().join(&quoted(room));
    let body = format!(r#"{{"event":"{event}",{members},"id":"{id}","createdAt":"{now}"}}"#);
    Ok((id, body.into_bytes()))
}

/// The members that `event` has in addition to `event`, `id` and `createdAt`.
fn template(event: &str) -> String {
    let participant = |state, version, reason| {
        let participant = PARTICIPANT.replace("$STATE", state).replace("$VERSION", version).replace("$REASON", reason);
        format!("{ROOM},{participant}")
    };
    let egress = |state, results| EGRESS.replace("$STATE", state).replace("$RESULTS", results);
    let ingress = |state, ended| INGRESS.replace("$STATE", state).replace("$ENDED", ended);
    let job = |state, worker| JOB.replace("$STATE", state).replace("$WORKER", worker);
    match event {
        "participant_joined" => participant("ACTIVE", "2", ""),
        "participant_left" => participant("DISCONNECTED", "3", r#","disconnectReason":"CLIENT_INITIATED""#),
        _ if event.starts_with("participant") => participant("DISCONNECTED", "2", r#","disconnectReason":"SIGNAL_CLOSE""#),
        _ if event.starts_with("track") => TRACK.to_owned(),
        "egress_started" => egress("", ""),
        "egress_updated" => egress(r#""status":"EGRESS_ACTIVE","startedAt":"$NOW000000000","updatedAt":"$NOW000000000","#, ""),
        "egress_ended" => egress(
            r#""status":"EGRESS_COMPLETE","startedAt":"$NOW000000000","endedAt":"$NOW000000000","updatedAt":"$NOW000000000","#,
            EGRESS_RESULTS,
        ),
        "ingress_started" => ingress(r#""status":"ENDPOINT_PUBLISHING","#, ""),
        "ingress_ended" => ingress("", r#","endedAt":"$NOW000000000""#),
        "agent_job_pending" => job("", ""),
        "agent_job_started" => job(r#""status":"JS_RUNNING","startedAt":"$NOW000000000","#, JOB_WORKER),
        "agent_job_ended" => job(r#""status":"JS_SUCCESS","startedAt":"$NOW000000000","endedAt":"$NOW000000000","#, JOB_WORKER),
        _ => ROOM.to_owned(),
    }
}

fn with_ids(template: &str) -> Result<String, getrandom::Error> {
    let mut parts = template.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.try_fold(first, |text, part| Ok(random_name(&text, ID_LETTERS)? + part))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
