//! What the page's scripts take for granted about the contracts.

use super::stub::sol::{
    IDatasetRegistry as Datasets, IEmissionController as Emission, IJobMarket as Market, ILedger as Ledger,
    IModelRegistry as Models, IToken as Token, IVerifier, IVerifierRegistry as Verifiers,
};
use alloy_primitives::keccak256;
use alloy_sol_types::{SolCall, SolInterface, SolStruct, SolType};
use assay_contracts::economy::abi::TrainingMarket as Training;
use std::{collections::BTreeMap, io::Write, process::Command};

/// Types and names of a structure's fields; those of structures inside of it in their place, where they are encoded.
fn members<S: SolStruct>() -> Vec<(String, String)> {
    // "Name(type name,...)", and behind it the structures that it holds, as "Inner(type name,...)".
    let text = S::eip712_encode_type();
    let parts: Vec<(&str, &str)> = text.split_terminator(')').map(|part| part.split_once('(').unwrap()).collect();
    let pairs = |fields: &str| -> Vec<(String, String)> {
        fields.split(',').map(|f| f.split_once(' ').unwrap()).map(|(t, n)| (t.to_owned(), n.to_owned())).collect()
    };
    let inner = |name: &str| parts.iter().skip(1).find(|(n, _)| *n == name).map(|(_, fields)| pairs(fields));
    pairs(parts[0].1).into_iter().flat_map(|(t, n)| inner(&t).unwrap_or_else(|| vec![(t, n)])).collect()
}

#[test]
fn constants_are_the_hashes_of_signatures_of_the_contracts() {
    let text = include_str!("../../assets/explorer/abi.js");
    let (functions, events) = text.split_once("export const EVENTS").expect("two lists");
    // Each entry starts with its signature and goes on with its hash as the next string.
    let entries = |text: &str| -> Vec<(String, String, String)> {
        let strings: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
        let starts = strings
            .iter()
            .enumerate()
            .filter(|(_, s)| s.ends_with(')') && s.starts_with(|c: char| c.is_ascii_alphabetic()));
        starts.map(|(i, s)| ((*s).to_owned(), strings[i + 1].to_owned(), strings[i + 2].to_owned())).collect()
    };
    let known = |selector: [u8; 4]| {
        [
            Market::IJobMarketCalls::selectors().collect::<Vec<_>>(),
            Ledger::ILedgerCalls::selectors().collect(),
            Emission::IEmissionControllerCalls::selectors().collect(),
            Models::IModelRegistryCalls::selectors().collect(),
            Verifiers::IVerifierRegistryCalls::selectors().collect(),
            Token::ITokenCalls::selectors().collect(),
            Training::TrainingMarketCalls::selectors().collect(),
            Datasets::IDatasetRegistryCalls::selectors().collect(),
            IVerifier::IVerifierCalls::selectors().collect(),
        ]
        .concat()
        .contains(&selector)
    };
    fn results<C: SolCall>() -> (&'static str, String) {
        (C::SIGNATURE, <C::ReturnTuple<'static> as SolType>::SOL_NAME.to_owned())
    }
    fn fields<C: SolCall, S: SolStruct>() -> (&'static str, String) {
        let types: Vec<String> = members::<S>().into_iter().map(|(t, _)| t).collect();
        (C::SIGNATURE, format!("(({}))", types.join(",")))
    }
    let results = BTreeMap::from([
        results::<IVerifier::acceptsDevelopmentSrsCall>(),
        results::<Token::totalSupplyCall>(),
        results::<Token::capCall>(),
        results::<Token::symbolCall>(),
        results::<Token::decimalsCall>(),
        results::<Verifiers::isActiveCall>(),
        fields::<Verifiers::entryCall, Verifiers::Entry>(),
        fields::<Market::jobCall, Market::Job>(),
        results::<Market::jobsCall>(),
        results::<Market::currentPriceCall>(),
        results::<Ledger::unburnedCall>(),
        results::<Emission::currentEpochCall>(),
        results::<Emission::budgetCall>(),
        results::<Emission::publicBudgetCall>(),
        fields::<Emission::statsCall, Emission::Stats>(),
        results::<IVerifier::keyOfCall>(),
        results::<Datasets::countCall>(),
        fields::<Datasets::getCall, Datasets::Dataset>(),
        results::<Training::tasksCall>(),
        fields::<Training::taskCall, Training::Task>(),
        fields::<Training::roundCall, Training::Round>(),
    ]);
    let (functions, sent) = functions.split_once("export const SENT").expect("a list of what is sent");
    // Of what was sent the selector says all, and there are as many names as arguments.
    for (signature, selector, names) in entries(sent) {
        let hash = keccak256(&signature);
        assert_eq!(selector, alloy_primitives::hex::encode_prefixed(&hash[..4]), "{signature}");
        assert!(known([hash[0], hash[1], hash[2], hash[3]]), "no contract has {signature}");
        assert_eq!(names.split(' ').count(), signature.split(',').count(), "{signature}");
    }
    assert_eq!(entries(sent).len(), 3);
    let functions = entries(functions);
    assert_eq!(functions.len(), results.len());
    for (signature, selector, result) in functions {
        let hash = keccak256(&signature);
        assert_eq!(selector, alloy_primitives::hex::encode_prefixed(&hash[..4]), "{signature}");
        assert!(known([hash[0], hash[1], hash[2], hash[3]]), "no contract has {signature}");
        assert_eq!(result, results[signature.as_str()], "{signature}");
    }
    let events = entries(events.split_once("export const TRANSFER").expect("an end").0);
    let selectors = [
        Market::IJobMarketEvents::SELECTORS,
        Ledger::ILedgerEvents::SELECTORS,
        Emission::IEmissionControllerEvents::SELECTORS,
        Models::IModelRegistryEvents::SELECTORS,
        Verifiers::IVerifierRegistryEvents::SELECTORS,
        Token::ITokenEvents::SELECTORS,
        Training::TrainingMarketEvents::SELECTORS,
        Datasets::IDatasetRegistryEvents::SELECTORS,
    ]
    .concat();
    assert_eq!(events.len(), 27);
    for (signature, topic, _) in events {
        let hash = keccak256(&signature);
        assert_eq!(topic, hash.to_string(), "{signature}");
        assert!(selectors.contains(&hash.0), "no contract has {signature}");
    }
}

#[test]
fn names_are_those_of_the_contracts_structures() {
    let (chain, training) =
        (include_str!("../../assets/explorer/chain.js"), include_str!("../../assets/explorer/training.js"));
    for (text, name, expected) in [
        (chain, "ENTRY", members::<Verifiers::Entry>()),
        (chain, "JOB", members::<Market::Job>()),
        (chain, "STATS", members::<Emission::Stats>()),
        (training, "DATASET", members::<Datasets::Dataset>()),
        (training, "TASK", members::<Training::Task>()),
        (training, "ROUND", members::<Training::Round>()),
        (training, "SPEC", members::<Training::Spec>()),
    ] {
        let (_, list) = text.split_once(&format!("const {name} = ")).expect(name);
        let (list, _) = list.split_once(".split").expect(name);
        let found: Vec<&str> = list.split('"').skip(1).step_by(2).flat_map(str::split_whitespace).collect();
        assert_eq!(found, expected.iter().map(|(_, n)| n).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_scripts_compute_and_decode_as_they_should() {
    let Ok(out) = Command::new("node")
        .args(["--test", "tests/explorer/units.mjs"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
    else {
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: the page's scripts are tested with node, which is not on the path\n"
        );
        return;
    };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
