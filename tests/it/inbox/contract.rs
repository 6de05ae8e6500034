//! What every backend keeps to.

use roomkey::UnixTime;
use roomkey::inbox::{Appended, Arrival};

use super::support::{Backend, KEYS, backends, delivery_of, event, everything};

/// Runs `test` over every backend.
async fn over_all<F: Future<Output = ()>>(test: impl Fn(Box<dyn Backend>) -> F) {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        test(backend).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_there_after_a_restart_once_and_to_the_byte() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let now = UnixTime::from_millis(1_795_317_315_123);
        let body = event("EV_1", "room_started", "daily");
        let at = |body: String| Arrival::new(delivery_of(KEYS[0], body), now);
        assert_eq!(inbox.append(at(body.clone())).await, Ok(Appended::Committed));
        assert_eq!(inbox.append(at(body.clone())).await, Ok(Appended::Duplicate));
        assert_eq!(inbox.append(at(body.clone() + " ")).await, Ok(Appended::Conflict));
        inbox.close().await;
        drop(inbox);

        let inbox = backend.inbox();
        let entries = everything(&inbox).await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].body, body);
        assert_eq!(
            (&*entries[0].id, &*entries[0].event, &*entries[0].room, &*entries[0].key, entries[0].received),
            ("EV_1", "room_started", "daily", "APIone", now)
        );
        assert_eq!(inbox.append(at(body)).await, Ok(Appended::Duplicate));
    })
    .await;
}
