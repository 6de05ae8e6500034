//! The program `roomkey`; all of it is in the library.

fn main() -> std::process::ExitCode {
    roomkey::cli::run()
}
