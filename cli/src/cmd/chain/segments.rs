//! `assay chain deploy --segments`, and `register` and `verify` of a split model: the contract that takes all segments together.

use super::{Deploy, Register, Verify};
use crate::{
    App,
    chain::{ChainArgs, measured_json, merge},
    error::{Failure, Outcome},
    output::count,
    split::check,
};
use assay_contracts::{
    Address, B256, Chain, Embedded, Measured, TRANSACTION_GAS, Verifier, is_development,
    segments::{Plan, Proofs, SegmentVerifier},
};
use assay_verifier::{
    core::hex,
    segments::{SegmentKeys, SegmentProofs, SegmentsError},
    settle::key::{Context, SettledProof, SettlementKey},
};
use serde_json::json;
use std::path::Path;

const SETTLE: &str = "settle the model: assay settle FOLDER INPUT -o PROOFS --key-out KEYS";

/// Whether proofs say that they are of these keys, in order, and for one purpose. A contract is not told: it knows what it is asked about.
fn belong(keys: &[SettlementKey], proofs: &[SettledProof]) -> Outcome<()> {
    if keys.len() != proofs.len() {
        return Err(SegmentsError::Count { expected: keys.len(), got: proofs.len() }.into());
    }
    let first = proofs.first().map(|p| &p.context);
    for (k, (key, proof)) in keys.iter().zip(proofs).enumerate() {
        if key.id() != proof.id {
            let other = Failure::new("the proof was made for another settlement key")
                .help("use the keys that the proofs were made with; `assay show` prints the ids of both")
                .invalid();
            return Err(check::at(k, other));
        }
        if Some(&proof.context) != first {
            return Err(SegmentsError::Context { segment: k + 1 }.into());
        }
    }
    Ok(())
}

/// Deploys the contract on top of a verifier.
pub(super) fn deploy(app: &App, args: &Deploy, verifier: Address) -> Outcome<()> {
    let o = &app.output;
    let mut chain = args.chain.connect(true)?;
    let chain = chain.as_mut();
    let verifier = Verifier::at(chain, verifier)?;
    let development = verifier.accepts_development_srs(chain)?;
    args.chain.guard(chain, development)?;
    let (together, measured) = SegmentVerifier::deploy(chain, &verifier)?;
    o.answer(format!("contract {}", together.address()));
    o.say(format!("verifier {}", verifier.address()));
    o.say(format!("chain    {} ({})", chain.chain_id(), chain.place()));
    o.say(format!("gas      {}; {} bytes of code", count(measured.gas_used), count(measured.contract_bytes as u64)));
    let mut result = json!({
        "contract": together.address().to_string(),
        "verifier": verifier.address().to_string(),
        "chain_id": chain.chain_id(),
        "accepts_development_srs": development,
    });
    merge(&mut result, measured_json(&measured));
    o.result(result);
    Ok(())
}

/// The contract at an address, or a new one on the embedded EVM.
fn contract(chain: &mut dyn Chain, args: &ChainArgs, at: Option<Address>) -> Outcome<SegmentVerifier> {
    match at {
        Some(a) => Ok(SegmentVerifier::at(chain, a)?),
        None if args.rpc.is_some() => {
            Err(Failure::new("which contract? pass the address of a SegmentVerifier with --contract")
                .help("`assay chain deploy --rpc URL --segments VERIFIER` deploys one and prints its address"))
        }
        None => {
            let (verifier, _) = Verifier::deploy(chain, true)?;
            Ok(SegmentVerifier::deploy(chain, &verifier)?.0)
        }
    }
}

/// Settlement keys of a split model, which hang together, and their plan.
struct Keys {
    all: SegmentKeys,
    plan: Plan,
}

impl Keys {
    fn read(path: &Path) -> Outcome<Self> {
        Self::new(check::read_keys(path)?)
    }

    fn new(all: SegmentKeys) -> Outcome<Self> {
        let wires = check::wires(&all)?;
        let SegmentKeys::Settled(keys) = &all else {
            return Err(Failure::new("a contract takes settled proofs, and these are keys of core proofs").help(SETTLE));
        };
        let number = |b: &usize| u8::try_from(*b).unwrap_or(u8::MAX);
        let numbers = wires.iter().map(|w| w.iter().map(number).collect::<Vec<_>>());
        let plan = Plan::new(&keys.iter().map(|k| B256::from(k.id())).zip(numbers).collect::<Vec<_>>());
        Ok(Self { all, plan })
    }

    fn settled(&self) -> &[SettlementKey] {
        match &self.all {
            SegmentKeys::Settled(keys) => keys,
            SegmentKeys::Core(_) => &[],
        }
    }

    /// What each segment's key is on a chain.
    fn words(&self) -> Vec<Vec<u8>> {
        self.settled().iter().map(|k| k.descriptor.to_bytes()).collect()
    }
}

/// Refuses proofs that no transaction can carry: the contract takes all of them in one call.
fn one_transaction(segments: usize, gas: u64) -> Outcome<()> {
    if gas <= TRANSACTION_GAS {
        return Ok(());
    }
    let each = gas.div_ceil(segments.max(1) as u64).max(1);
    Err(Failure::new(format!(
        "the proofs of {segments} segments take {} gas, and a transaction may have {}; nothing was sent",
        count(gas),
        count(TRANSACTION_GAS)
    ))
    .help(format!(
        "cut the model into at most {} segments; `assay verify` checks the proofs without a chain",
        TRANSACTION_GAS / each
    )))
}

/// Verifier and contract on an embedded EVM, for proofs of a split model.
pub(crate) struct LocalSegments {
    chain: Embedded,
    together: SegmentVerifier,
}

/// What became of the proofs there.
pub(crate) struct Accepted {
    pub(crate) plan_id: B256,
    pub(crate) gas: u64,
    /// Of all keys.
    pub(crate) register_gas: u64,
}

impl LocalSegments {
    pub(crate) fn deploy() -> Outcome<Self> {
        let mut chain = Embedded::new();
        let (verifier, _) = Verifier::deploy(&mut chain, true)?;
        let (together, _) = SegmentVerifier::deploy(&mut chain, &verifier)?;
        Ok(Self { chain, together })
    }

    /// A context for [`Self::submit`].
    pub(crate) fn context(&self) -> Context {
        Context {
            chain_id: self.chain.chain_id(),
            consumer: self.together.address().into_array(),
            job: [0; 32],
            recipient: Embedded::ACCOUNT.into_array(),
        }
    }

    /// Registers the keys and submits the proofs, which are bound to [`Self::context`].
    pub(crate) fn submit(mut self, keys: &SegmentKeys, proofs: &SegmentProofs) -> Outcome<Accepted> {
        let keys = Keys::new(keys.clone())?;
        let SegmentProofs::Settled(proofs) = proofs else {
            return Err(Failure::new("a contract takes settled proofs, and these are core proofs").help(SETTLE));
        };
        let mut register_gas = 0;
        for key in keys.words() {
            let registered = self.together.verifier().register(&mut self.chain, &key)?;
            register_gas += registered.transaction.map_or(0, |t| t.measured.gas_used);
        }
        let context = self.context();
        let (public_values, proofs) = proofs.iter().map(|p| (p.public.clone(), p.argument.clone())).unzip();
        let all = Proofs { public_values, context: context.digest(), proofs };
        let (job, recipient) = (B256::from(context.job), Address::from(context.recipient));
        let gas = self.together.limit_of_parts(&mut self.chain, &keys.plan, &all, Some((job, recipient)))?;
        one_transaction(keys.all.len(), gas)?;
        let submitted = self.together.submit(&mut self.chain, &keys.plan, &all, job, recipient)?;
        Ok(Accepted { plan_id: keys.plan.id(), gas: submitted.transaction.measured.gas_used, register_gas })
    }
}

/// Stores the key of each segment with the verifier that the contract asks.
pub(super) fn register(app: &App, args: &Register) -> Outcome<()> {
    let o = &app.output;
    let keys = Keys::read(&args.key)?;
    let words = keys.words();
    let mut chain = args.chain.connect(true)?;
    let chain = chain.as_mut();
    args.chain.guard(chain, words.iter().any(|w| is_development(w)))?;
    let together = contract(chain, &args.chain, args.contract)?;
    let verifier = together.verifier();
    let (plan_id, mut gas, mut now, mut segments) = (keys.plan.id(), 0, 0, vec![]);
    for key in &words {
        let registered = verifier.register(chain, key)?;
        let spent = registered.transaction.map_or(0, |t| t.measured.gas_used);
        gas += spent;
        now += usize::from(registered.transaction.is_some());
        segments.push(json!({
            "settlement_id": hex(registered.model_id.as_slice()),
            "data_contract": registered.data.to_string(),
            "development_srs": registered.development_srs,
            "registered_now": registered.transaction.is_some(),
            "transaction": registered.transaction.map(|t| t.hash.to_string()),
            "gas": spent,
        }));
    }
    o.answer(format!("plan     {plan_id}, {} segments", words.len()));
    o.say(format!("contract {}, verifier {}", together.address(), verifier.address()));
    o.say(match now {
        0 => "all were registered already".to_owned(),
        n => format!("gas      {} for {n} of {} keys", count(gas), words.len()),
    });
    o.result(json!({
        "plan_id": plan_id,
        "split_id": check::id(&keys.all)?,
        "contract": together.address().to_string(),
        "verifier": verifier.address().to_string(),
        "chain_id": chain.chain_id(),
        "segments": segments,
        "registered_now": now,
        "gas": gas,
    }));
    Ok(())
}

/// Settled proofs of all segments, checked by the contract that takes them together.
pub(super) fn verify(app: &App, args: &Verify) -> Outcome<()> {
    let o = &app.output;
    let path = args.key.as_deref().ok_or_else(|| {
        Failure::new("which keys? pass those of the split model with --key")
            .help("`assay settle FOLDER INPUT -o PROOFS --key-out KEYS` writes both")
    })?;
    let keys = Keys::read(path)?;
    let (SegmentProofs::Settled(proofs), _) = check::read_proofs(&args.proof)? else {
        return Err(Failure::new("a contract takes settled proofs, and these are core proofs").help(SETTLE));
    };
    belong(keys.settled(), &proofs)?;
    let mut chain = args.chain.connect(args.submit)?;
    let chain = chain.as_mut();
    let together = contract(chain, &args.chain, args.contract)?;
    if args.chain.rpc.is_none() {
        for key in keys.words() {
            together.verifier().register(chain, &key)?;
        }
    }
    let context = proofs.first().map(|p| p.context.clone());
    let (public_values, proofs) = proofs.into_iter().map(|p| (p.public, p.argument)).unzip();
    let digest = context.as_ref().map_or([0; 32], |c| c.digest());
    let all = Proofs { public_values, context: digest, proofs };
    let refused = || {
        Failure::new("the contract does not accept the proofs")
            .help("do not trust what the proofs claim, and check that they were made for these keys")
            .invalid()
    };
    if args.submit || args.chain.rpc.is_none() {
        let submission = context.as_ref().filter(|_| args.submit);
        let submission = submission.map(|c| (B256::from(c.job), Address::from(c.recipient)));
        let gas = together.limit_of_parts(chain, &keys.plan, &all, submission);
        // What the contract refuses is refused below.
        gas.map_or(Ok(()), |gas| one_transaction(keys.all.len(), gas))?;
    }
    if !together.verify(chain, &keys.plan, &all)? {
        return Err(refused());
    }
    let measured: Measured = match context.filter(|_| args.submit) {
        Some(c) => {
            super::check_consumer(chain, together.address(), &c)?;
            let (job, recipient) = (B256::from(c.job), Address::from(c.recipient));
            together.submit(chain, &keys.plan, &all, job, recipient)?.transaction.measured
        }
        None => together.verify_cost(chain, &keys.plan, &all)?,
    };
    let plan_id = keys.plan.id();
    o.answer("accepted");
    o.say(format!("plan     {plan_id}, {} segments", keys.all.len()));
    super::say_asked(app, together.address(), chain, &measured);
    let mut result = json!({
        "accepted": true,
        "valid": true,
        "submitted": args.submit,
        "segments": keys.all.len(),
        "split_id": check::id(&keys.all)?,
        "plan_id": plan_id,
        "contract": together.address().to_string(),
        "verifier": together.verifier().address().to_string(),
        "chain_id": chain.chain_id(),
    });
    merge(&mut result, measured_json(&measured));
    o.result(result);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_transaction_can_carry_is_said_before() {
        assert!(one_transaction(35, TRANSACTION_GAS).is_ok());
        let f = one_transaction(40, TRANSACTION_GAS + 1).unwrap_err();
        assert!(f.message.contains("40 segments take 16,777,217 gas"), "{}", f.message);
        assert!(f.help.contains("at most 39 segments"), "{}", f.help);
        assert!(one_transaction(0, u64::MAX).is_err());
    }
}
