//! `roomkey man`: the man page of the program or of one of its commands, generated from the declared flags.

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{self, Failure, Outcome, print};

const SOURCE: &str = concat!("roomkey ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey man | man -l -
  roomkey man token create > roomkey-token-create.1")]
pub(super) struct PrintMan {
    /// The words of a command, such as token create
    command: Vec<String>,
}

pub(super) fn run(arguments: PrintMan) -> Outcome {
    let mut program = cli::Arguments::command();
    program.build();
    let mut command = &program;
    for word in &arguments.command {
        command =
            command.find_subcommand(word).ok_or_else(|| Failure::wrong("there is no such command: see `roomkey --help`"))?;
    }
    let name = command.get_display_name().unwrap_or("roomkey").to_owned();
    let mut page = Vec::new();
    let rendered = Man::new(command.clone().display_name(name)).source(SOURCE).render(&mut page);
    rendered.map_err(|error| Failure::wrong(format_args!("cannot write the page: {error}")))?;
    print(String::from_utf8_lossy(&page).trim_end())
}
