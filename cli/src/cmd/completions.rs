//! `assay completions`: for bash, zsh, fish, elvish and PowerShell.

use crate::{App, args::Cli, error::Outcome};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(app: &App, args: &CompletionsArgs) -> Outcome<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "assay", &mut script);
    let script = String::from_utf8_lossy(&script);
    app.output.answer(script.trim_end());
    app.output.result(serde_json::json!({ "script": script }));
    Ok(())
}
