//! Owns sample payloads of every event that LiveKit sends, with the fields, names and number formats of recorded ones
//! (protobuf's JSON: 64 bits as strings, zero values left out). Does not sign or send them.

use crate::cli::Failure;
use crate::clock::UnixTime;
use crate::policy::random_name;

/// Letters after the prefix of an id (livekit/protocol `utils/guid`).
const ID_LETTERS: usize = 12;

/// What a payload is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) event: &'a str,
    pub(super) room: &'a str,
    pub(super) identity: &'a str,
    pub(super) now: UnixTime,
}

/// A payload, and its id.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

impl Scene<'_> {
    /// A payload with ids of its own.
    pub(super) fn sample(&self) -> Result<Sample, Failure> {
        let id = new_id("EV_")?;
        let Self { event, now, .. } = self;
        let members = match event.split_once('_') {
            Some(("room", _)) => format!(r#""room":{}"#, self.room()?),
            Some(("participant", _)) => format!(r#""room":{},"participant":{}"#, self.room()?, self.participant()?),
            Some(("track", _)) => self.track()?,
            Some(("egress", _)) => format!(r#""egressInfo":{}"#, self.egress()?),
            Some(("ingress", _)) => format!(r#""ingressInfo":{}"#, self.ingress()?),
            _ => format!(r#""job":{}"#, self.job()?),
        };
        let body = format!(r#"{{"event":"{event}",{members},"id":"{id}","createdAt":"{}"}}"#, now.as_secs());
        Ok(Sample { id, body: body.into_bytes() })
    }

    fn room(&self) -> Result<String, Failure> {
        let (sid, name, now) = (new_id("RM_")?, quoted(self.room), self.now.as_secs());
        Ok(format!(
            r#"{{"sid":"{sid}","name":{name},"emptyTimeout":300,"departureTimeout":20,"creationTime":"{now}","creationTimeMs":"{now}000","turnPassword":"{}","enabledCodecs":[{{"mime":"audio/opus"}},{{"mime":"audio/red"}},{{"mime":"video/VP8"}},{{"mime":"video/H264"}}]}}"#,
            random_name("sample-", 32)?
        ))
    }

    fn participant(&self) -> Result<String, Failure> {
        let (sid, identity, now) = (new_id("PA_")?, quoted(self.identity), self.now.as_secs());
        let (state, version, reason) = match self.event {
            "participant_joined" => ("ACTIVE", 2, ""),
            "participant_left" => ("DISCONNECTED", 3, r#","disconnectReason":"CLIENT_INITIATED""#),
            _ => ("DISCONNECTED", 2, r#","disconnectReason":"SIGNAL_CLOSE""#),
        };
        Ok(format!(
            r#"{{"sid":"{sid}","identity":{identity},"state":"{state}","joinedAt":"{now}","joinedAtMs":"{now}000","name":{identity},"version":{version},"permission":{{"canSubscribe":true,"canPublish":true,"canPublishData":true}}{reason}}}"#
        ))
    }

    /// Tracks come with a shortened room and participant.
    fn track(&self) -> Result<String, Failure> {
        let (room, identity, now) = (quoted(self.room), quoted(self.identity), self.now.as_secs());
        let (room_sid, participant_sid, sid) = (new_id("RM_")?, new_id("PA_")?, new_id("TR_VC")?);
        Ok(format!(
            r#""room":{{"sid":"{room_sid}","name":{room}}},"participant":{{"sid":"{participant_sid}","identity":{identity}}},"track":{{"sid":"{sid}","type":"VIDEO","name":"camera","width":1280,"height":720,"source":"CAMERA","layers":[{{"quality":"HIGH","width":1280,"height":720,"bitrate":1700000,"ssrc":285806433}}],"mimeType":"video/VP8","mid":"2","stream":"camera","version":{{"unixMicro":"{now}000000"}}}}"#
        ))
    }

    fn egress(&self) -> Result<String, Failure> {
        let (egress_id, room_id, room) = (new_id("EG_")?, new_id("RM_")?, quoted(self.room));
        let now = format!("{}000000000", self.now.as_secs());
        let file = r#""roomComposite":{"roomName":ROOM,"layout":"speaker","fileOutputs":[{"fileType":"MP4","filepath":"recordings/{room_name}-{time}.mp4"}]}"#;
        let request = file.replace("ROOM", &room);
        let (state, results) = match self.event {
            "egress_started" => (String::new(), String::new()),
            "egress_updated" => (format!(r#""status":"EGRESS_ACTIVE","startedAt":"{now}","updatedAt":"{now}","#), String::new()),
            _ => (
                format!(r#""status":"EGRESS_COMPLETE","startedAt":"{now}","endedAt":"{now}","updatedAt":"{now}","#),
                format!(
                    r#","fileResults":[{{"filename":"recordings/sample.mp4","startedAt":"{now}","endedAt":"{now}","duration":"60000000000","size":"7340032","location":"https://bucket.example.com/recordings/sample.mp4"}}]"#
                ),
            ),
        };
        Ok(format!(r#"{{"egressId":"{egress_id}","roomId":"{room_id}","roomName":{room},{state}{request}{results}}}"#))
    }

    fn ingress(&self) -> Result<String, Failure> {
        let (room, identity, now) = (quoted(self.room), quoted(self.identity), self.now.as_secs());
        let (ingress_id, room_id, resource_id) = (new_id("IN_")?, new_id("RM_")?, new_id("RES_")?);
        let (status, ended) = match self.event {
            "ingress_started" => (r#""status":"ENDPOINT_PUBLISHING","#, String::new()),
            _ => ("", format!(r#","endedAt":"{now}000000000""#)),
        };
        Ok(format!(
            r#"{{"ingressId":"{ingress_id}","name":"camera","streamKey":"{}","inputType":"WHIP_INPUT","bypassTranscoding":true,"enableTranscoding":false,"roomName":{room},"participantIdentity":{identity},"participantName":{identity},"reusable":true,"state":{{{status}"video":{{"mimeType":"video/H264","averageBitrate":2500000,"width":1920,"height":1080,"framerate":29.97}},"audio":{{"mimeType":"audio/opus","averageBitrate":128000,"channels":2,"sampleRate":48000}},"roomId":"{room_id}","startedAt":"{now}000000000"{ended},"resourceId":"{resource_id}"}}}}"#,
            random_name("sample-", ID_LETTERS)?
        ))
    }

    /// After livekit/protocol `protobufs/livekit_agent.proto`.
    fn job(&self) -> Result<String, Failure> {
        let (room, now) = (quoted(self.room), format!("{}000000000", self.now.as_secs()));
        let (id, dispatch_id, room_sid) = (new_id("AJ_")?, new_id("AD_")?, new_id("RM_")?);
        let state = match self.event {
            "agent_job_pending" => format!(r#"{{"updatedAt":"{now}"}}"#),
            "agent_job_started" => {
                format!(
                    r#"{{"status":"JS_RUNNING","startedAt":"{now}","updatedAt":"{now}","participantIdentity":"agent-{id}","workerId":"{}"}}"#,
                    new_id("AW_")?
                )
            }
            _ => format!(
                r#"{{"status":"JS_SUCCESS","startedAt":"{now}","endedAt":"{now}","updatedAt":"{now}","participantIdentity":"agent-{id}","workerId":"{}"}}"#,
                new_id("AW_")?
            ),
        };
        Ok(format!(
            r#"{{"id":"{id}","dispatchId":"{dispatch_id}","room":{{"sid":"{room_sid}","name":{room}}},"agentName":"helper","state":{state}}}"#
        ))
    }
}

fn new_id(prefix: &str) -> Result<String, getrandom::Error> {
    random_name(prefix, ID_LETTERS)
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
