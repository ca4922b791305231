//! What README and docs show can be typed: every `assay` command line in them is parsed.

use super::*;
use clap::CommandFactory;

/// Shell words of a line without its comment, with something of the right form for each placeholder.
fn words(line: &str) -> Vec<String> {
    let code = line.split(" #").next().unwrap_or_default();
    let value = |w: &str| match w {
        "ADDRESS" | "VERIFIER" | "SEGMENTS" => "0x5FbDB2315678afecb367f032d93F642f64180aa3".to_owned(),
        "URL" => "http://127.0.0.1:8545".to_owned(),
        "HEX" => "00".repeat(32),
        "N" | "K" | "I" | "ID" | "IDS" => "1".to_owned(),
        "SHELL" => "bash".to_owned(),
        w => w.trim_matches('"').to_owned(),
    };
    code.split_whitespace().map(value).collect()
}

/// Command lines in fenced blocks, and in backticks.
fn commands(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            out.push(line.to_owned());
        } else {
            out.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    out.retain(|l| l.starts_with("assay ") || l.starts_with("cargo run --release -- "));
    out.into_iter().map(|l| l.replace("cargo run --release --", "assay")).collect()
}

#[test]
fn every_command_line_that_is_shown_parses() {
    Cli::command().debug_assert();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut seen = 0;
    let pages = std::fs::read_dir(format!("{root}/docs")).unwrap().map(|f| f.unwrap().path());
    let pages = pages.filter(|p| p.extension().is_some_and(|e| e == "md")).chain([format!("{root}/README.md").into()]);
    for path in pages {
        let file = path.display();
        let text = std::fs::read_to_string(&path).unwrap();
        for line in commands(&text) {
            // A name with a list of options or choices is no command line; what stands for any command is none either.
            if line.contains(['[', '|', '<']) || line.contains("...") || line.contains("COMMAND") {
                continue;
            }
            let words = words(&line);
            match Cli::try_parse_from(&words) {
                Ok(_) => seen += 1,
                Err(e) => {
                    let help = e.kind() == clap::error::ErrorKind::DisplayHelp;
                    // In running text a verb may stand for itself, but it must be one.
                    let verb = words.len() <= 3 && e.kind() == clap::error::ErrorKind::MissingRequiredArgument
                        || e.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
                    assert!(help || verb, "{file} shows '{line}': {e}");
                }
            }
        }
    }
    assert!(seen >= 20, "only {seen} command lines were found");
}

#[test]
fn a_command_line_that_does_not_exist_is_noticed() {
    assert_eq!(
        commands("text `assay show x` and\n```sh\nassay prove a b  # c\nls\n```\n"),
        ["assay show x", "assay prove a b  # c"]
    );
    assert_eq!(words("assay srs import F --power K # c"), ["assay", "srs", "import", "F", "--power", "1"]);
    assert!(Cli::try_parse_from(words("assay prove model input --no-such-flag")).is_err());
}

#[test]
fn help_texts_are_sentences_without_an_end() {
    fn walk(command: &clap::Command) {
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "{} {} has no help", command.get_name(), arg.get_id());
            assert!(!help.ends_with('.') || help.ends_with(".."), "{} {}: {help}", command.get_name(), arg.get_id());
        }
        command.get_subcommands().for_each(walk);
    }
    let mut cli = Cli::command();
    cli.build();
    walk(&cli);
}
