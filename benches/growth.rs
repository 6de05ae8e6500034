//! Measures how verifying and receiving grow with what they are given, and how minting grows with the cores. Does not know what one
//! token costs at best: `signing` measures that.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use roomkey::{AccessToken, ApiKey, ApiKeys, TokenVerifier, UnixTime, WebhookReceiver};
use sha2::{Digest, Sha256};

use crate::rounds::{self, work};
use crate::{KEY, NOW, SECRET, join, signing_input};

/// How long each number of threads mints.
const MINTING: Duration = Duration::from_secs(2);

pub(crate) fn print() {
    println!("\n| bytes | verify, of bare HMAC | receive, of bare hashing | and read the event |\n|--:|--:|--:|--:|");
    for bytes in [1_000, 10_000, 100_000, 500_000, 1_000_000] {
        let [verify, receive, event] = ratios(bytes, 1);
        let verify =
            if bytes > roomkey::livekit::access_token::MAX_METADATA_BYTES { String::new() } else { format!("{verify:.2}") };
        println!("| {bytes} | {verify} | {receive:.2} | {event:.2} |");
    }
    println!("\n| keys | verify, of bare HMAC | receive 1 kB, of bare hashing | and read the event |\n|--:|--:|--:|--:|");
    for keys in [1, 10, 100] {
        let [verify, receive, event] = ratios(1_000, keys);
        println!("| {keys} | {verify:.2} | {receive:.2} | {event:.2} |");
    }
    println!("\n| threads | tokens/s |\n|--:|--:|");
    for threads in [1, 2] {
        println!("| {threads} | {:.0} |", tokens_per_second(threads));
    }
}

/// Verifying a token with metadata of `bytes`, receiving a body of `bytes`, and also reading its event, compared with the hashing alone.
/// The last one of `keys` signs.
fn ratios(bytes: usize, keys: usize) -> [f64; 3] {
    let key = ApiKey::new(KEY, SECRET).unwrap();
    let others = (1..keys).map(|number| ApiKey::new(&format!("{KEY}{number:02}"), SECRET).unwrap()).collect::<Vec<_>>();
    let mut all = others.into_iter().chain([key.clone()]);
    let verifier = TokenVerifier::new(ApiKeys::new(all.next().unwrap(), all).unwrap());
    let (receiver, reading) = (WebhookReceiver::new(verifier.clone()), WebhookReceiver::new(verifier.clone()));

    let metadata = "x".repeat(bytes);
    let token = AccessToken::new().with_metadata(metadata.get(..bytes.min(500_000)).unwrap()).to_jwt(&key, NOW).unwrap();
    let body =
        format!(r#"{{"event":"participant_joined","participant":{{"identity":"alice","metadata":"{metadata}"}},"id":"EV_1"}}"#);
    let webhook = AccessToken::new().with_sha256(BASE64.encode(Sha256::digest(&body))).to_jwt(&key, NOW).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let [hmac, verify, hashing, receive, event] = [0; 5].map(|_: u8| (token.clone(), webhook.clone(), body.clone()));
    let other_mac = mac.clone();
    let [hmac, verify, hashing, receive, event] = rounds::compare([
        work(move || mac.clone().chain_update(black_box(signing_input(&hmac.0))).finalize()),
        work(move || verifier.verify(black_box(&verify.0), NOW).unwrap()),
        work(move || {
            (
                other_mac.clone().chain_update(black_box(signing_input(&hashing.1))).finalize(),
                Sha256::digest(black_box(&hashing.2)),
            )
        }),
        work(move || receiver.receive(black_box(&receive.1), black_box(&receive.2), NOW).unwrap().key().len()),
        work(move || {
            let delivery = reading.receive(black_box(&event.1), black_box(&event.2), NOW).unwrap();
            delivery.event().map(|event| event.num_dropped).unwrap()
        }),
    ]);
    [verify / hmac, receive / hashing, event / hashing]
}

/// How many join tokens `threads` mint in a second, each from names.
fn tokens_per_second(threads: usize) -> f64 {
    let (key, is_over, tokens) = (ApiKey::new(KEY, SECRET).unwrap(), AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let minting = std::iter::repeat_with(|| black_box(join().to_jwt(&key, black_box(UnixTime::now()))));
                let minted = minting.take_while(|_| !is_over.load(Ordering::Relaxed)).count() as u64;
                tokens.fetch_add(minted, Ordering::Relaxed);
            });
        }
        std::thread::sleep(MINTING);
        is_over.store(true, Ordering::Relaxed);
    });
    tokens.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}
