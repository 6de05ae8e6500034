//! `roomkey healthcheck`: asks the server that runs with the same settings whether it is ready. Reads no key and no other file, because a
//! server keeps working while these are replaced. Does not know what makes a server ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use tokio::time::timeout;

use crate::cli::{Failure, Outcome, print, remote};
use crate::client::{ExchangeError, Target};
use crate::config::{Flags, Variables};
use crate::http::Bind;
use crate::http::proxy_header::LOCAL;

/// The time limit, from connecting to the end of the answer. It is shorter than what Docker (30 s) waits for a health check.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every failure has status 1: those who ask know no other (`HEALTHCHECK` in the reference of Dockerfiles reserves 2).
pub(super) fn run(flags: Flags) -> Outcome {
    is_ready(flags).map_err(|failure| Failure { status: 1, ..failure })
}

fn is_ready(mut flags: Flags) -> Outcome {
    let variables = Variables::read()?;
    let url = url(&mut flags, &variables)?;
    let preface: &[u8] = if flags.proxy_protocol(&variables)? { &LOCAL } else { &[] };
    let target = Target::parse(&url).map_err(|error| Failure::refused(format_args!("{url}: {error}: check SERVER_BIND")))?;
    let ready = remote::runtime()?.block_on(async { timeout(PATIENCE, ask(&target, preface)).await });
    let (status, text) = ready
        .unwrap_or(Err(ExchangeError::TimedOut(PATIENCE)))
        .map_err(|error| Failure::refused(format_args!("{url}: {error}")))?;
    match status {
        StatusCode::OK => print("ready"),
        _ => Err(Failure::refused(format_args!("{url} answers {}{}", status.as_u16(), remote::explanation(&text)))),
    }
}

async fn ask(target: &Target, preface: &[u8]) -> Result<(StatusCode, Bytes), ExchangeError> {
    let mut connection = target.connect_after(preface).await?;
    let answer = connection.send(target.request(Method::GET, target.path()), Bytes::new()).await?;
    Ok((answer.status(), remote::text(answer.into_body()).await))
}

/// Where the server says whether it is ready.
fn url(flags: &mut Flags, variables: &Variables) -> Result<String, Failure> {
    let port = flags.server_port(variables)?;
    if port == 0 {
        return Err(Failure::refused("SERVER_PORT is 0, so nobody knows the port of the server: set it to a port"));
    }
    let host = match flags.server_bind(variables)? {
        Bind::All => Ipv4Addr::LOCALHOST.to_string(),
        Bind::Host(host) => reachable(host),
    };
    Ok(format!("http://{host}:{port}{}/readyz", flags.base_path(variables)?))
}

/// How a URL names `host`, or loopback if that is the address that stands for all.
fn reachable(host: String) -> String {
    match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host,
    }
}
