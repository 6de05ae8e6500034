//! `roomkey completions`: the completions for a shell, generated from the declared flags.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{self, Outcome, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey completions bash > ~/.local/share/bash-completion/completions/roomkey
  roomkey completions zsh > \"${fpath[1]}/_roomkey\"
  roomkey completions fish > ~/.config/fish/completions/roomkey.fish")]
pub(super) struct PrintCompletions {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: PrintCompletions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::Arguments::command(), "roomkey", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
