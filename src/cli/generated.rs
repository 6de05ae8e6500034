//! `roomkey completions` and `roomkey man`: generated from the declared flags. Does not know what the flags mean.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::{self, Failure, Outcome, print};

const SOURCE: &str = concat!("roomkey ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey completions bash > ~/.local/share/bash-completion/completions/roomkey
  roomkey completions zsh > \"${fpath[1]}/_roomkey\"
  roomkey completions fish > ~/.config/fish/completions/roomkey.fish")]
pub(super) struct PrintCompletions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey man | man -l -
  roomkey man token create > roomkey-token-create.1")]
pub(super) struct PrintMan {
    /// The words of a command, such as token create
    command: Vec<String>,
}

pub(super) fn print_completions(arguments: PrintCompletions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::Arguments::command(), "roomkey", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn print_man(arguments: PrintMan) -> Outcome {
    let mut program = cli::Arguments::command();
    program.build();
    let command = arguments.command.iter().try_fold(&program, |command, word| command.find_subcommand(word));
    let command = command.ok_or_else(|| Failure::wrong("there is no such command: see `roomkey --help`"))?;
    let name = command.get_display_name().unwrap_or("roomkey").to_owned();
    let mut page = Vec::new();
    let rendered = Man::new(command.clone().display_name(name)).source(SOURCE).render(&mut page);
    rendered.map_err(|error| Failure::wrong(format_args!("cannot write the page: {error}")))?;
    print(String::from_utf8_lossy(&page).trim_end())
}
