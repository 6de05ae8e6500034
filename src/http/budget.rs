//! Bounds the bytes that one class of requests may hold, so that it cannot use up what another class needs, and that one client may
//! hold, so that it cannot use up what other clients need.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::http::refusal::Refusal;
use crate::policy::limits::client_network;
use crate::worker::lock;

/// The bytes that all requests of one class may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    held: AtomicUsize,
    /// What each client holds, if that is limited.
    clients: Option<Clients>,
}

/// What each client holds for requests that wait. Those that hold nothing are left out.
#[derive(Debug)]
struct Clients {
    limit: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
    /// Whether any client is in `held`. This can be asked without the lock.
    are_some: AtomicBool,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0), clients: None })
    }

    /// A budget of which one client address may hold at most `client_limit`.
    pub(crate) fn shared_by_clients(limit: usize, client_limit: usize) -> Arc<Self> {
        let clients = Clients { limit: client_limit, held: Mutex::default(), are_some: AtomicBool::new(false) };
        Arc::new(Self { limit, held: AtomicUsize::new(0), clients: Some(clients) })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

impl Clients {
    /// Whether `client` may hold `bytes` in addition to what it holds.
    fn have_room(&self, client: IpAddr, bytes: usize) -> bool {
        let held = || lock(&self.held).get(&client_network(client)).copied().unwrap_or(0);
        let held = if self.are_some.load(Relaxed) { held() } else { 0 };
        held.saturating_add(bytes) <= self.limit
    }

    /// Counts `bytes` more for `client`.
    fn grow(&self, client: IpAddr, bytes: usize) {
        let mut clients = lock(&self.held);
        let held = clients.entry(client_network(client)).or_default();
        *held = held.saturating_add(bytes);
        self.are_some.store(true, Relaxed);
    }

    fn shrink(&self, client: IpAddr, bytes: usize) {
        let mut clients = lock(&self.held);
        if let Entry::Occupied(mut client) = clients.entry(client_network(client)) {
            *client.get_mut() = client.get().saturating_sub(bytes);
            if *client.get() == 0 {
                client.remove();
            }
        }
        self.are_some.store(!clients.is_empty(), Relaxed);
    }
}

/// A share of a budget, returned when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    client: IpAddr,
    pub(crate) bytes: usize,
    /// The part of them that counts for the client.
    client_bytes: usize,
}

impl Share {
    /// An empty share for a request of `client`.
    pub(crate) fn of(budget: &Arc<Budget>, client: IpAddr) -> Self {
        Self { budget: Arc::clone(budget), client, bytes: 0, client_bytes: 0 }
    }

    /// Takes `bytes` more. They count until the share is dropped, even if the budget or the client's part of it is exceeded.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        let held = self.budget.held.fetch_add(bytes, Relaxed);
        let uncounted = self.bytes.saturating_sub(self.client_bytes);
        let may_hold = self.budget.clients.as_ref().is_none_or(|clients| clients.have_room(self.client, uncounted));
        if may_hold && held.saturating_add(bytes) <= self.budget.limit { Ok(()) } else { Err(Refusal::Overloaded) }
    }

    /// Counts the bytes for the client too. Call this before the request waits for anything. Requests that do not wait are over at once,
    /// so that each thread has only one of them, and counting it would cost more than reading most bodies.
    pub(crate) fn wait(&mut self) {
        let uncounted = self.bytes.saturating_sub(self.client_bytes);
        if let Some(clients) = self.budget.clients.as_ref().filter(|_| uncounted > 0) {
            clients.grow(self.client, uncounted);
            self.client_bytes = self.bytes;
        }
    }

    /// Returns all but `bytes` to the budget.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let given_back = self.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(given_back);
        self.budget.held.fetch_sub(given_back, Relaxed);
        let given_back = self.client_bytes.saturating_sub(self.bytes);
        if let Some(clients) = self.budget.clients.as_ref().filter(|_| given_back > 0) {
            clients.shrink(self.client, given_back);
            self.client_bytes = self.bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_client_has_its_part_of_the_budget() {
        let budget = Budget::shared_by_clients(100, 10);
        let of = |network, host| Share::of(&budget, Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into());
        let takes = |mut share: Share, bytes| share.grow(bytes).is_ok();

        let mut held = of(1, 1);
        assert!(held.grow(6).is_ok());
        assert!(takes(of(1, 2), 10), "as long as the first request does not wait, it is over before this one");
        held.wait();
        assert!(takes(of(1, 2), 4) && !takes(of(1, 2), 5) && takes(of(2, 1), 10) && !takes(of(2, 1), 11));
        assert!(held.grow(4).is_ok() && held.grow(1).is_err());
        held.wait();
        assert!(!takes(of(1, 2), 1));
        held.shrink_to(2);
        held.shrink_to(5);
        assert!(takes(of(1, 2), 8) && !takes(of(1, 2), 9));
        assert_eq!(budget.held(), 2);

        let others: Vec<_> = (2..11).map(|network| of(network, 1)).map(|mut share| share.grow(10).map(|()| share)).collect();
        assert!(others.iter().all(Result::is_ok));
        assert!(takes(of(1, 2), 8) && !takes(of(20, 1), 9), "92 of all are held");
        drop((held, others));
        assert_eq!(budget.held(), 0);
        assert!(budget.clients.as_ref().is_some_and(|clients| lock(&clients.held).is_empty() && !clients.are_some.load(Relaxed)));
    }
}
