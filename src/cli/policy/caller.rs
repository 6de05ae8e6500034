//! The caller whose request `roomkey policy test` tries out: as if it had proven itself, or by a credential that is verified as the
//! server would. Does not know the rules.

use std::path::Path;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Map;

use crate::caller::Caller;
use crate::caller::callers::Callers;
use crate::caller::credentials::Credentials;
use crate::caller::refused::Refused;
use crate::caller::settings::{ANONYMOUS, SecretSource};
use crate::cli::policy::surroundings;
use crate::cli::{Failure, input, remote};
use crate::clock::UnixTime;
use crate::config::{FileSource, Variables};
use crate::livekit::key::ApiKeys;
use crate::policy::file::PolicyFile;
use crate::worker::Workers;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Who asks")]
pub(super) struct CallerFlags {
    /// The caller, as if it had proven itself
    #[arg(long, value_name = "NAME", required_unless_present = "bearer")]
    caller: Option<String>,
    /// The caller's claims, a JSON object; - is stdin
    #[arg(long, value_name = "JSON", requires = "caller")]
    claims: Option<String>,
    /// A credential to verify as the server would; - is stdin
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["caller", "claims"])]
    bearer: Option<String>,
}

/// A caller, or the status and the reason why there is none.
pub(super) type Found = Result<Arc<Caller>, (u16, String)>;

impl CallerFlags {
    /// The caller in `file`, which was read from `path`. The application is told about `room`.
    pub(super) fn find(&self, file: &PolicyFile, path: &str, keys: &ApiKeys, room: Option<&str>) -> Result<Found, Failure> {
        match (&self.bearer, &self.caller) {
            (Some(bearer), _) => proven(&input::token(bearer)?, file, path, keys, room),
            (None, name) => self.claimed(name.as_deref().unwrap_or(ANONYMOUS), file),
        }
    }

    /// The caller `name`, as if it had proven itself.
    fn claimed(&self, name: &str, file: &PolicyFile) -> Result<Found, Failure> {
        let names = file.callers.iter().map(|caller| caller.name.as_str()).chain([ANONYMOUS]);
        if !names.clone().any(|each| each == name) {
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(Failure::wrong(format_args!("--caller: there is no caller {name:?}: the callers are {names}")));
        }
        let claims = match self.claims.as_deref() {
            None => Map::new(),
            Some("-") => input::object("--claims", &input::read("-")?)?,
            Some(json) => input::object("--claims", json.as_bytes())?,
        };
        let caller = file.caller(name, claims);
        let caller = caller.ok_or_else(|| Failure::wrong(format_args!("--claims: the caller {name:?} has no claims")))?;
        Ok(caller.map(Arc::new).map_err(|error| (401, format!("the claims do not hold: {error}"))))
    }
}

/// The caller that `token` proves.
fn proven(token: &str, file: &PolicyFile, path: &str, keys: &ApiKeys, room: Option<&str>) -> Result<Found, Failure> {
    let bearer = HeaderValue::try_from(format!("Bearer {token}"));
    let bearer = bearer.or(Err(Failure::wrong("--bearer is not a token: it has characters that no header can have")))?;
    let source = FileSource::new(Path::new(path).to_owned(), Arc::new(Variables::read()?));
    let runtime = remote::runtime()?;
    let _in_runtime = runtime.enter();
    let (read, workers) = (|secret: &SecretSource| source.secret(secret), Workers::default());
    let surroundings = surroundings(&read, &workers);
    let callers = Callers::new(file.callers.clone(), &surroundings).map_err(Failure::wrong)?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let credentials = Credentials {
        headers: &headers,
        may_use_cookies: false,
        is_from_trusted_proxy: false,
        room,
        livekit_keys: keys,
        passed_on: &HeaderMap::new,
    };
    let identified = runtime.block_on(callers.identify(&credentials, UnixTime::now()));
    Ok(identified.map_err(|refused| match refused {
        Refused::Unauthorized(error) => (401, format!("the credential does not hold: {error}")),
        refused @ Refused::Forbidden { .. } => (403, refused.to_string()),
        refused @ Refused::Unknown { .. } => (503, refused.to_string()),
    }))
}
