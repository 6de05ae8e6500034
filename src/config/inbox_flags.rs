//! The settings that say where the inbox is, for the commands that need nothing else of the server's settings. Does not know what they
//! do with it.

use std::fmt;

use zeroize::Zeroizing;

use crate::config::lookup::Setting;
use crate::config::settings::DEFAULT_INBOX;
use crate::config::{ConfigError, InboxPlace, Variables, values};

// The flags of the same names as the server's. (`Flags` says why this is not a doc comment.)
#[derive(Clone, Default, clap::Args)]
pub(crate) struct InboxFlags {
    /// Where the inbox is, as for the server; put a URL with a password into the variable [default: sqlite:roomkey.db] [env: ROOMKEY_INBOX]
    #[arg(long, value_name = "PLACE")]
    inbox: Option<String>,
    /// The user at the sentinels of a redis+sentinel inbox; its password is the variable ROOMKEY_SENTINEL_PASSWORD [default: the default user] [env: ROOMKEY_SENTINEL_USER]
    #[arg(long, value_name = "USER")]
    sentinel_user: Option<String>,
}

impl InboxFlags {
    pub(crate) fn read(&self, variables: &Variables) -> Result<InboxPlace, ConfigError> {
        let place = Setting::of("ROOMKEY_INBOX", DEFAULT_INBOX, self.inbox.clone(), variables).and_then(values::inbox_place)?;
        let user = Setting::of("ROOMKEY_SENTINEL_USER", "", self.sentinel_user.clone(), variables)?.text();
        let password = Setting::filled("ROOMKEY_SENTINEL_PASSWORD", None, variables)?.text().map(Zeroizing::new);
        place.with_sentinel_login(user.as_deref(), password.as_ref().map(|password| password.as_str()))
    }
}

/// Shows no values: a URL of Redis may contain a password.
impl fmt::Debug for InboxFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxFlags").finish_non_exhaustive()
    }
}
