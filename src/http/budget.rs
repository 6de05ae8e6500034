//! Bounds the bytes that one class of requests may hold, so that it cannot use up what another class needs, and that one client may
//! hold, so that it cannot use up what other clients need.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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

/// What each client holds. Those that hold nothing are left out.
#[derive(Debug)]
struct Clients {
    limit: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0), clients: None })
    }

    /// A budget of which one client address may hold at most `client_limit`.
    pub(crate) fn shared_by_clients(limit: usize, client_limit: usize) -> Arc<Self> {
        let clients = Clients { limit: client_limit, held: Mutex::default() };
        Arc::new(Self { limit, held: AtomicUsize::new(0), clients: Some(clients) })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

impl Clients {
    /// Whether `client` may hold `bytes` more. They count nevertheless.
    fn grow(&self, client: IpAddr, bytes: usize) -> bool {
        let mut clients = lock(&self.held);
        let held = clients.entry(client).or_default();
        *held = held.saturating_add(bytes);
        *held <= self.limit
    }

    fn shrink(&self, client: IpAddr, bytes: usize) {
        let mut clients = lock(&self.held);
        if let Some(held) = clients.get_mut(&client) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// A share of a budget, returned when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    client: IpAddr,
    pub(crate) bytes: usize,
}

impl Share {
    /// An empty share for a request of `client`.
    pub(crate) fn of(budget: &Arc<Budget>, client: IpAddr) -> Self {
        Self { budget: Arc::clone(budget), client: client_network(client), bytes: 0 }
    }

    /// Takes `bytes` more. They count until the share is dropped, even if the budget or the client's part of it is exceeded.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        let held = self.budget.held.fetch_add(bytes, Relaxed);
        let may_hold = self.budget.clients.as_ref().is_none_or(|clients| clients.grow(self.client, bytes));
        if may_hold && held.saturating_add(bytes) <= self.budget.limit { Ok(()) } else { Err(Refusal::Overloaded) }
    }

    /// Returns all but `bytes` to the budget.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let given_back = self.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(given_back);
        self.budget.held.fetch_sub(given_back, Relaxed);
        if let Some(clients) = self.budget.clients.as_ref().filter(|_| given_back > 0) {
            clients.shrink(self.client, given_back);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
