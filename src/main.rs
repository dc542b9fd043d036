//! The `nbpack` program.

fn main() -> std::process::ExitCode {
    nbpack::cli::main(std::env::args_os())
}
