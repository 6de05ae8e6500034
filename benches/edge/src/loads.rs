//! Scripts that make `wrk` send what clients send. Does not know who answers.

use std::fs;
use std::path::{Path, PathBuf};

use roomkey::ApiKey;

use crate::bare;

/// A script that makes `wrk` send what clients of `/token` do, with these credentials in turn, or without one.
pub fn token(scratch: &Path, name: &str, bearers: &[String]) -> crate::Result<PathBuf> {
    let authorization = match bearers {
        [] => String::new(),
        [bearer] => format!("wrk.headers[\"Authorization\"] = \"Bearer {bearer}\"\n"),
        bearers => {
            let path = scratch.join(name).with_extension("bearers");
            fs::write(&path, bearers.join("\n"))?;
            format!(
                r#"local requests, at = {{}}, 0
function init()
  for bearer in io.lines("{}") do
    wrk.headers["Authorization"] = "Bearer " .. bearer
    requests[#requests + 1] = wrk.format()
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"#,
                path.display()
            )
        }
    };
    let script = format!(
        r#"wrk.method = "POST"
wrk.path = "/token"
wrk.headers["Content-Type"] = "application/json"
{authorization}wrk.body = '{{"roomName":"daily-standup","participantName":"alice"}}'
"#
    );
    write(scratch, name, &script)
}

/// A script that makes `wrk` send a recorded delivery as LiveKit Server does, signed now.
pub fn webhook(scratch: &Path, body: &[u8]) -> crate::Result<PathBuf> {
    let token = bare::webhook_token(&ApiKey::new(crate::KEY.0, crate::KEY.1)?, body)?;
    let body_path = scratch.join("webhook.body");
    fs::write(&body_path, body)?;
    let script = format!(
        r#"wrk.method = "POST"
wrk.path = "/webhook"
wrk.headers["User-Agent"] = "Go-http-client/1.1"
wrk.headers["Content-Type"] = "application/webhook+json"
wrk.headers["Accept-Encoding"] = "gzip"
wrk.headers["Authorization"] = "{token}"
local file = io.open("{}", "rb")
wrk.body = file:read("*a")
file:close()
"#,
        body_path.display()
    );
    write(scratch, "webhook", &script)
}

fn write(scratch: &Path, name: &str, script: &str) -> crate::Result<PathBuf> {
    let path = scratch.join(name).with_extension("lua");
    fs::write(&path, script)?;
    Ok(path)
}
