//! `roomkey deploy`: prints the files that operators deploy, which the guide's page on operation explains. Does not know what is in them.

use clap::builder::PossibleValuesParser;

use crate::cli::{Failure, Outcome, output, print};

/// Declares [`FILES`] from the names in `src/guide/deploy/`, each with what it is for.
macro_rules! files {
    ($($name:literal: $purpose:literal,)*) => {
        const FILES: &[File] = &[$(File { name: $name, purpose: $purpose, content: include_str!(concat!("../guide/deploy/", $name)) },)*];
        const NAMES: &[&str] = &[$($name,)*];
    };
}

files! {
    "roomkey.service": "systemd: the service",
    "roomkey.socket": "systemd: the socket, so that a restart loses no connection",
    "Containerfile": "containers: the image of roomkey",
    "compose.yaml": "containers: roomkey, LiveKit Server and Redis on one machine",
    "kubernetes.yaml": "Kubernetes: two roomkeys that share a Redis",
    "nginx.conf": "nginx: TLS in front of roomkey",
    "Caddyfile": "Caddy: TLS in front of roomkey",
    "prometheus-rules.yaml": "Prometheus: alerts",
}

struct File {
    name: &'static str,
    purpose: &'static str,
    content: &'static str,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey deploy
  roomkey deploy roomkey.service > /etc/systemd/system/roomkey.service")]
pub(super) struct PrintDeployFile {
    /// The file [default: list the files]
    #[arg(value_parser = PossibleValuesParser::new(NAMES), hide_possible_values = true)]
    file: Option<String>,
}

pub(super) fn run(arguments: PrintDeployFile) -> Outcome {
    let Some(name) = arguments.file else {
        let lines = FILES.iter().map(|file| format!("{:21}  {}", file.name, file.purpose));
        return print(lines.collect::<Vec<_>>().join("\n"));
    };
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(|| Failure::wrong("there is no such file"))?;
    output::write(file.content)
}
