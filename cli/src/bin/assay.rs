//! The `assay` command; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(assay_cli::main(std::env::args_os()))
}
