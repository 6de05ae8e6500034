//! `roomkey check`: reads the settings and all files as the server does, and says what would run. Opens no socket and no inbox, and fetches
//! no key. Does not know what a setting means.

use std::sync::Arc;

use crate::cli::serve::{edge, file, key_watch, place, policy, retention, targets, warn_about_livekit_url, warn_about_variables};
use crate::cli::{Outcome, log, print, remote};
use crate::config::{Config, Flags, Variables};
use crate::http::{Bind, Edge};
use crate::inbox::Inbox;

/// The warnings are those of the server's log, and are written like them.
pub(in crate::cli) fn run(flags: Flags) -> Outcome {
    let variables = Arc::new(Variables::read()?);
    let config = Config::read(flags, &variables)?;
    log::open(config.log_level, config.log_format);
    let runtime = remote::runtime()?;
    let _in_runtime = runtime.enter(); // it never runs, so nothing is fetched
    let edge = edge(&config, retention(&config), &Inbox::none(), None, false)?;
    policy(&config, &variables, &edge)?;
    targets(&config, &variables, &edge)?;
    warn_about_variables(&config, &variables);
    warn_about_livekit_url(&config);
    key_watch::warn_about(&config.keys, config.server_bind == Bind::All);
    print(report(&config, &edge))
}

/// What the server logs at its start, one line each.
fn report(config: &Config, edge: &Edge) -> String {
    let host = match &config.server_bind {
        Bind::All => "all interfaces",
        Bind::Host(host) => host,
    };
    let metrics = config.metrics_bind.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let lines = [
        ("listens on", format!("port {} of {host}", config.server_port)),
        ("paths", edge.paths().collect::<Vec<_>>().join(" ")),
        ("metrics", metrics),
        ("key", config.keys.api_keys.minting().name().to_owned()),
        ("livekit_url", config.livekit_url.clone()),
        ("inbox", place(&config.inbox)),
        ("policy", file(&config.policy).into_owned()),
        ("relay", file(&config.relay).into_owned()),
    ];
    lines.map(|(name, value)| format!("{name:11}  {value}")).join("\n")
}
