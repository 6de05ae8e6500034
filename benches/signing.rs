//! Measures what a token and a webhook cost, compared with the hashing alone that they need.
//!
//!     cargo bench --no-default-features
//!
//! The same, as on a processor without SHA extensions:
//!
//!     RUSTFLAGS='--cfg sha2_backend="soft"' cargo bench --no-default-features
//!
//! criterion measures each piece of work by itself. The table after that measures them side by side, so quote its ratios. Minting
//! begins with the names as strings, which are copied into the token, as in a server; the row below it begins with a token that
//! only has to be signed. Receiving ends with a verified delivery; the last row also reads its event, which is optional.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

mod growth;
mod rounds;

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use hmac::{Hmac, KeyInit, Mac};
use roomkey::{ApiKey, Identity, ParticipantName, ParticipantToken, RoomName, TokenVerifier, UnixTime, WebhookReceiver};
use rounds::{Work, work};
use sha2::{Digest, Sha256};

/// The pair that signed the recorded deliveries.
const KEY: &str = "APIdevelopFixture";
const SECRET: &str = "fixtureSecret-for-tests-only-0123456789abcdef";
/// The largest recorded delivery, and when it came.
const HEAD: &str = include_str!("../fixtures/deliveries/023-track_unpublished.head");
const BODY: &[u8] = include_bytes!("../fixtures/deliveries/023-track_unpublished.body");
const NOW: UnixTime = UnixTime::from_secs(1_795_317_324);

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for (name, mut work) in works() {
        criterion.bench_function(name, |bencher| bencher.iter_custom(&mut work));
    }
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        print_table();
        growth::print();
    }
}

fn works() -> [(&'static str, Work); 7] {
    let key = ApiKey::new(KEY, SECRET).unwrap();
    let minting = key.clone();
    let prepared = join();
    let token = prepared.to_jwt(&key, NOW);
    let verifier = TokenVerifier::new(key.clone());
    let receiver = WebhookReceiver::new(verifier.clone());
    let parsing = receiver.clone();
    let authorization = HEAD.lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap();

    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    [
        ("bare HMAC-SHA256 of a join token (245 B)", {
            let (mac, input) = (mac.clone(), signing_input(&token).to_owned());
            work(move || mac.clone().chain_update(black_box(&input)).finalize())
        }),
        ("mint a join token", work(move || join().to_jwt(&minting, black_box(NOW)))),
        ("mint it where it is ready to sign", work(move || black_box(&prepared).to_jwt(&key, black_box(NOW)))),
        ("verify it", work(move || verifier.verify(black_box(&token), NOW).unwrap())),
        ("bare hashing of a delivery (token 216 B, body 1191 B)", {
            let input = signing_input(authorization);
            work(move || (mac.clone().chain_update(black_box(input)).finalize(), Sha256::digest(black_box(BODY))))
        }),
        ("receive the delivery", work(move || receiver.receive(black_box(authorization), black_box(BODY), NOW).unwrap())),
        ("receive it and read its event", {
            work(move || {
                let delivery = parsing.receive(black_box(authorization), black_box(BODY), NOW).unwrap();
                delivery.event().map(|event| event.num_dropped).unwrap()
            })
        }),
    ]
}

fn join() -> ParticipantToken {
    let room = RoomName::new(black_box("daily-standup")).unwrap();
    let identity = Identity::new(black_box("alice")).unwrap();
    ParticipantToken::new(room, identity).with_name(ParticipantName::new(black_box("Alice")).unwrap())
}

fn signing_input(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

fn print_table() {
    let works = works();
    let names = works.each_ref().map(|(name, _)| *name);
    let times = rounds::compare(works.map(|(_, work)| work));
    let [hmac, .., hashing, _, _] = times;
    println!("\n{}, side by side:\n", rounds::machine());
    println!("| work | ns | times the hashing |\n|---|--:|--:|");
    for (at, (name, time)) in names.into_iter().zip(times).enumerate() {
        println!("| {name} | {time:.0} | {:.2} |", time / if at < 4 { hmac } else { hashing });
    }
}
