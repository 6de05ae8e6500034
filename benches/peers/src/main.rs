//! roomkey beside what else there is to mint LiveKit's tokens and receive its webhooks in Rust. From this folder:
//!
//!     cargo run --release
//!
//! and the same as on a CPU without SHA extensions:
//!
//!     RUSTFLAGS='--cfg sha2_backend="soft"' cargo run --release --features soft
//!
//! Each does what its users write for one token and one delivery: keys that can be kept are kept, the clock is read, and the
//! event is parsed, for livekit-api parses it in any case: all of its protobuf message, where roomkey reads what tells the
//! event, the room, the participant and the track. jsonwebtoken knows no webhooks: what it lacks stands here, as short as it
//! goes. Before anything is measured, each has to accept what the others mint.

#[path = "../../rounds.rs"]
mod rounds;

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use livekit_api::access_token as livekit;
use livekit_api::webhooks::WebhookReceiver as LivekitReceiver;
use roomkey::{
    AccessToken, ApiKey, Identity, ParticipantName, ParticipantToken, RoomName, TokenVerifier, UnixTime, WebhookReceiver,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const KEY: &str = "APIdevelopFixture";
const SECRET: &str = "fixtureSecret-for-tests-only-0123456789abcdef";
const ROOM: &str = "daily-standup";
const IDENTITY: &str = "alice";
const NAME: &str = "Alice";
/// The largest recorded delivery. Its token has ended, and livekit-api takes no other time than the system's: a fresh one with
/// the same claims vouches for the body here.
const HEAD: &str = include_str!("../../../fixtures/deliveries/023-track_unpublished.head");
const BODY: &str = include_str!("../../../fixtures/deliveries/023-track_unpublished.body");
const RECORDED: UnixTime = UnixTime::from_secs(1_795_317_324);

fn main() {
    let ours = Roomkey::new();
    let theirs = Livekit::new();
    let generic = Jsonwebtoken::new();
    let digest = BASE64.encode(Sha256::digest(BODY));
    let token = AccessToken::new().with_sha256(&*digest).to_jwt(&ours.key, UnixTime::now()).unwrap();
    check(&ours, &theirs, &generic, &token);

    let (our_key, generic_key) = (ours.clone(), generic.clone());
    let works = {
        let [ours_token, theirs_token, generic_token] = [token.clone(), token.clone(), token];
        [
            rounds::work(move || our_key.mint()),
            rounds::work(Livekit::mint),
            rounds::work(move || generic_key.mint()),
            rounds::work(move || ours.receive(black_box(&ours_token), black_box(BODY)).is_some()),
            rounds::work(move || theirs.0.receive(black_box(BODY), black_box(&theirs_token)).unwrap()),
            rounds::work(move || generic.receive(black_box(&generic_token), black_box(BODY)).unwrap().event.len()),
        ]
    };
    let [mint, receive] = {
        let [a, b, c, d, e, f] = rounds::compare(works);
        [[a, b, c], [d, e, f]]
    };
    println!("{}; nanoseconds, side by side, and times what roomkey takes:\n", rounds::machine());
    println!("| | roomkey | livekit-api | jsonwebtoken |\n|---|--:|--:|--:|");
    for (what, [ours, theirs, generic]) in [("mint a join token", mint), ("receive a delivery, event parsed", receive)] {
        println!("| {what} | {ours:.0} | {theirs:.0} ({:.1}x) | {generic:.0} ({:.1}x) |", theirs / ours, generic / ours);
    }
}

/// Each accepts the tokens of the others, and the body that a token vouches for.
fn check(ours: &Roomkey, theirs: &Livekit, generic: &Jsonwebtoken, webhook: &str) {
    let verifier = livekit::TokenVerifier::with_api_key(KEY, SECRET);
    for token in [ours.mint(), Livekit::mint(), generic.mint()] {
        let claims = ours.verifier.verify(&token, UnixTime::now()).unwrap();
        let video = claims.video.unwrap();
        assert_eq!((&*claims.sub, &*claims.name, &*video.room, video.room_join), (IDENTITY, NAME, ROOM, true));
        let claims = verifier.verify(&token).unwrap();
        assert_eq!((&*claims.sub, &*claims.name, &*claims.video.room, claims.video.room_join), (IDENTITY, NAME, ROOM, true));
        let claims = decode::<Join>(&token, &generic.decoding, &generic.validation).unwrap().claims;
        assert_eq!((&*claims.sub, &*claims.name, &*claims.video.room, claims.video.room_join), (IDENTITY, NAME, ROOM, true));
    }
    assert_eq!(ours.receive(webhook, BODY).unwrap(), "track_unpublished");
    assert_eq!(theirs.0.receive(BODY, webhook).unwrap().event, "track_unpublished");
    assert_eq!(generic.receive(webhook, BODY).unwrap().event, "track_unpublished");
    let other = BODY.replace("bob", "eve");
    assert!(ours.receive(webhook, &other).is_none());
    assert!(theirs.0.receive(&other, webhook).is_err());
    assert!(generic.receive(webhook, &other).is_none());

    let recorded = HEAD.lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap();
    ours.receiver.receive(recorded, BODY, RECORDED).unwrap();
    let mut timeless = generic.clone();
    (timeless.validation.validate_exp, timeless.validation.validate_nbf) = (false, false);
    timeless.receive(recorded, BODY).unwrap();
}

#[derive(Clone)]
struct Roomkey {
    key: ApiKey,
    verifier: TokenVerifier,
    receiver: WebhookReceiver,
}

impl Roomkey {
    fn new() -> Self {
        let key = ApiKey::new(KEY, SECRET).unwrap();
        let verifier = TokenVerifier::new(key.clone());
        Self { key, receiver: WebhookReceiver::new(verifier.clone()), verifier }
    }

    fn mint(&self) -> String {
        ParticipantToken::new(RoomName::new(black_box(ROOM)).unwrap(), Identity::new(black_box(IDENTITY)).unwrap())
            .with_name(ParticipantName::new(black_box(NAME)).unwrap())
            .to_jwt(&self.key, UnixTime::now())
    }

    fn receive(&self, token: &str, body: &str) -> Option<String> {
        let delivery = self.receiver.receive(token, body, UnixTime::now()).ok()?;
        let event = delivery.event().ok()?;
        Some(event.event.into_owned())
    }
}

struct Livekit(LivekitReceiver);

impl Livekit {
    fn new() -> Self {
        Self(LivekitReceiver::new(livekit::TokenVerifier::with_api_key(KEY, SECRET)))
    }

    fn mint() -> String {
        let grants = livekit::VideoGrants { room_join: true, room: black_box(ROOM).to_owned(), ..Default::default() };
        livekit::AccessToken::with_api_key(KEY, SECRET)
            .with_identity(black_box(IDENTITY))
            .with_name(black_box(NAME))
            .with_grants(grants)
            .to_jwt()
            .unwrap()
    }
}

#[derive(Clone)]
struct Jsonwebtoken {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Join {
    iss: String,
    sub: String,
    name: String,
    nbf: u64,
    #[serde(default)] // livekit-api writes none
    iat: u64,
    exp: u64,
    video: Video,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Video {
    room_join: bool,
    room: String,
}

#[derive(Deserialize)]
struct Webhook {
    sha256: String,
}

/// What roomkey reads of a `track_*`.
#[allow(dead_code, reason = "read, as it is of the others")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event: String,
    id: String,
    created_at: String,
    room: Part,
    participant: Part,
    track: Part,
}

#[allow(dead_code, reason = "likewise")]
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    sid: String,
    name: String,
    identity: String,
    r#type: String,
    source: String,
}

impl Jsonwebtoken {
    fn new() -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_nbf = true;
        validation.set_issuer(&[KEY]);
        let secret = SECRET.as_bytes();
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret), validation }
    }

    fn mint(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = Join {
            iss: KEY.to_owned(),
            sub: black_box(IDENTITY).to_owned(),
            name: black_box(NAME).to_owned(),
            nbf: now,
            iat: now,
            exp: now + 6 * 60 * 60,
            video: Video { room_join: true, room: black_box(ROOM).to_owned() },
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).unwrap()
    }

    fn receive(&self, token: &str, body: &str) -> Option<Event> {
        let claims = decode::<Webhook>(token, &self.decoding, &self.validation).ok()?.claims;
        let digest = BASE64.encode(Sha256::digest(body));
        if digest == claims.sha256 { serde_json::from_str(body).ok() } else { None }
    }
}
