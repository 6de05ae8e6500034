//! The policy of the server, which can be replaced while it runs. Does not know where it comes from, nor what a request is.

use std::sync::Arc;

use tokio::sync::watch;

use crate::caller::callers::Callers;
use crate::clock::UnixTime;
use crate::policy::rules::Rules;

/// The callers and the rules of one policy file.
#[derive(Debug)]
pub(crate) struct ActivePolicy {
    pub(crate) callers: Callers,
    pub(crate) rules: Rules,
}

impl ActivePolicy {
    /// Whether every caller that a rule names needs an issuer's keys which are not there at `now`.
    pub(crate) fn lacks_all_keys(&self, now: UnixTime) -> bool {
        let mut callers = self.rules.iter().flat_map(|rule| &rule.callers).peekable();
        callers.peek().is_some() && callers.all(|caller| self.callers.lack_keys_of(caller, now))
    }
}

/// The policy of an [`Edge`](crate::http::Edge). All clones share it. Without one, every client gets a token.
#[derive(Clone, Debug)]
pub(crate) struct Policies(Arc<watch::Sender<Option<Arc<ActivePolicy>>>>);

/// The present policy, and each later one as it comes.
pub(crate) type PolicyChanges = watch::Receiver<Option<Arc<ActivePolicy>>>;

impl Default for Policies {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Policies {
    /// Uses `policy` for every request from now on. A request that has begun keeps its policy; a reader of events is checked again.
    pub(crate) fn replace(&self, policy: ActivePolicy) {
        self.0.send_replace(Some(Arc::new(policy)));
    }

    /// The present policy. A request asks once, when it begins.
    pub(crate) fn current(&self) -> Option<Arc<ActivePolicy>> {
        self.0.borrow().clone()
    }

    /// Whether an application's own session can be a credential, with its cookies.
    pub(crate) fn use_sessions(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|policy| policy.callers.use_sessions())
    }

    /// The present and all later policies.
    pub(crate) fn watch(&self) -> PolicyChanges {
        self.0.subscribe()
    }
}
