//! A deployment that a test makes up: models, jobs in every state, epochs.

use super::stub::{
    World, milli,
    sol::{
        IEmissionController as Emission, IJobMarket as Market, ILedger as Ledger, IModelRegistry as Models,
        IToken as Token, IVerifier, IVerifierRegistry as Verifiers,
    },
    wide,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use assay_contracts::economy::{Addresses, Deployment, Parameters};
use std::collections::BTreeMap;

pub(super) const TOKEN: Address = Address::repeat_byte(0x10);
pub(super) const REGISTRY: Address = Address::repeat_byte(0x20);
pub(super) const MODELS: Address = Address::repeat_byte(0x30);
pub(super) const MARKET: Address = Address::repeat_byte(0x40);
pub(super) const EMISSION: Address = Address::repeat_byte(0x50);
pub(super) const VERIFIER: Address = Address::repeat_byte(0x60);
pub(super) const DATASETS: Address = Address::repeat_byte(0xa0);
pub(super) const TRAINING: Address = Address::repeat_byte(0xb0);
pub(super) const FIRST_BLOCK: u64 = 100;

pub(super) fn deployment() -> Deployment {
    Deployment {
        format: "assay.deployment.v2".to_owned(),
        chain_id: 31337,
        block: FIRST_BLOCK,
        deployer: Address::ZERO,
        contracts: Addresses {
            verifier: VERIFIER,
            manager: Address::repeat_byte(0x70),
            registry: REGISTRY,
            models: MODELS,
            token: TOKEN,
            emission: EMISSION,
            market: MARKET,
            timelock: Address::repeat_byte(0x80),
            governor: Address::repeat_byte(0x90),
            datasets: DATASETS,
            training: TRAINING,
        },
        canary: None,
        parameters: Parameters::development(Address::ZERO),
    }
}

pub(super) fn values(values: &[i64]) -> Bytes {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

pub(super) fn who(n: u8) -> Address {
    let mut bytes = keccak256([n]).0;
    bytes[..12].fill(0);
    Address::from_slice(&bytes[12..])
}

pub(super) fn hash(text: &str) -> B256 {
    keccak256(text)
}

/// What every deployment answers.
pub(super) fn base(world: &mut World, symbol: &str) {
    world.result(TOKEN, &Token::symbolCall {}, &symbol.to_owned());
    world.result(TOKEN, &Token::decimalsCall {}, &18);
    world.result(TOKEN, &Token::capCall {}, &wide(milli(1_000_000_000)));
    world.result(TOKEN, &Token::totalSupplyCall {}, &U256::ZERO);
    world.result(MARKET, &Market::jobsCall {}, &U256::ZERO);
    world.result(MARKET, &Ledger::unburnedCall {}, &U256::ZERO);
    world.result(EMISSION, &Emission::currentEpochCall {}, &U256::from(7));
    world.result(EMISSION, &Emission::budgetCall { epoch: U256::from(7) }, &wide(milli(250_000)));
    world.result(EMISSION, &Emission::publicBudgetCall { epoch: U256::from(7) }, &wide(milli(25_000)));
}

pub(super) fn add_verifier(world: &mut World, name: &str, model: &str, batch: u32, active: bool) -> B256 {
    let (id, model) = (hash(name), hash(model));
    let (settlement, srs) = (hash(&format!("key of {name}")), hash("tau"));
    let added = Verifiers::Added {
        verifierId: id,
        modelId: model,
        verifier: VERIFIER,
        settlementId: settlement,
        workUnits: 109_184,
    };
    world.event(REGISTRY, FIRST_BLOCK + 1, &added);
    let entry = Verifiers::Entry {
        verifier: VERIFIER,
        batch,
        inputValues: 64,
        outputValues: 10,
        settlementId: settlement,
        modelId: model,
        srsHash: srs,
        codeHash: hash("code"),
        weightCommitment: hash("weights"),
        workUnits: 109_184,
        addedAt: world.time - 900_000,
    };
    world.result(REGISTRY, &Verifiers::entryCall { verifierId: id }, &entry);
    world.result(REGISTRY, &Verifiers::isActiveCall { verifierId: id }, &active);
    id
}

pub(super) fn add_offer(world: &mut World, model: &str, owner: u8, royalty: u16, data: u16, uri: &str) -> B256 {
    let id = hash(&format!("offer {model} {owner} {uri}"));
    let recipient = if data > 0 { who(owner + 100) } else { Address::ZERO };
    let event = Models::Offered {
        offerId: id,
        modelId: hash(model),
        owner: who(owner),
        royaltyBps: royalty,
        dataRecipient: recipient,
        dataBps: data,
        uri: uri.to_owned(),
    };
    world.event(MODELS, FIRST_BLOCK + 2, &event);
    id
}

pub(super) fn spec_of(job: &Market::Job) -> Market::Spec {
    Market::Spec {
        verifierId: job.verifierId,
        offerId: job.offerId,
        inputCommitment: job.inputCommitment,
        minPrice: job.minPrice,
        maxPrice: job.maxPrice,
        rampStart: job.rampStart,
        rampEnd: job.rampEnd,
        deadline: job.deadline,
        leaseSeconds: job.leaseSeconds,
        bond: job.bond,
    }
}

/// An open job.
pub(super) fn job(world: &World, verifier: B256, offer: B256) -> Market::Job {
    let at = |seconds: i64| alloy_primitives::aliases::U40::from((world.time as i64 + seconds) as u64);
    Market::Job {
        requester: who(1),
        status: Market::Status::Open,
        rampStart: at(-600),
        rampEnd: at(600),
        payout: Address::ZERO,
        leaseEnd: alloy_primitives::aliases::U40::ZERO,
        deadline: at(7260),
        leaseSeconds: 600,
        minPrice: milli(1_000),
        maxPrice: milli(5_000),
        price: 0,
        bond: milli(500),
        held: 0,
        rescue: 0,
        workFee: milli(200),
        protocolBps: 250,
        kind: 1,
        verifierId: verifier,
        offerId: offer,
        inputCommitment: hash("input"),
    }
}

pub(super) fn add_job(world: &mut World, id: u64, block: u64, job: &Market::Job, input: Bytes) {
    let id = U256::from(id);
    let posted = Market::Posted {
        jobId: id,
        requester: job.requester,
        verifierId: job.verifierId,
        spec: spec_of(job),
        workFee: job.workFee,
        salt: hash("salt"),
        input,
    };
    world.event(MARKET, block, &posted);
    world.result(MARKET, &Market::jobCall { jobId: id }, job);
    world.result(MARKET, &Market::currentPriceCall { jobId: id }, &milli(3_000));
    world.result(MARKET, &Market::jobsCall {}, &id);
}

/// A deployment with everything that the page shows. Job 1 was proven with the answer 7.
pub(super) fn lively() -> World {
    let mut w = World::new(12_500);
    base(&mut w, "ASSAY");
    w.result(VERIFIER, &IVerifier::acceptsDevelopmentSrsCall {}, &false);
    let v1 = add_verifier(&mut w, "digits, one", "digits", 1, true);
    let v4 = add_verifier(&mut w, "digits, four", "digits", 4, true);
    let old = add_verifier(&mut w, "old", "iris", 1, false);
    w.event(REGISTRY, FIRST_BLOCK + 40, &Verifiers::Tombstoned { verifierId: old });
    let offer = add_offer(&mut w, "digits", 2, 500, 125, "https://models.example/digits");
    add_offer(&mut w, "digits", 3, 0, 0, "");
    w.event(TOKEN, FIRST_BLOCK, &Token::Transfer { from: Address::ZERO, to: who(9), value: wide(milli(400_000_000)) });

    // Epochs with ever more workers, and one without any.
    let mut id = 0;
    let (mut fees, mut rewards) = (0_u128, 0_u128);
    for epoch in [1_u64, 2, 3, 5, 6, 7] {
        let mut shares: BTreeMap<u8, u128> = BTreeMap::new();
        for i in 0..epoch + 2 {
            id += 1;
            let worker = 20 + u8::try_from((i * i) % 5).unwrap();
            let batch = epoch == 3 || epoch == 6;
            let mut j = job(&w, if batch { v4 } else { v1 }, offer);
            let price = milli(2_000 + 137 * i);
            j.status = Market::Status::Fulfilled;
            (j.price, j.payout) = (price, who(worker));
            let block = FIRST_BLOCK + 1500 * epoch + 20 * i;
            add_job(&mut w, id, block, &j, if id == 1 { values(&[0; 64]) } else { Bytes::new() });
            // The answer of the first job: the largest at place 7, with negative values around.
            let output = if id == 1 {
                values(&[-12, 4, 0, -9_000_000_000, 33, 1, -1, 4096, 17, 4095])
            } else {
                (0..10).flat_map(|k: i64| ((k * 37 + id as i64 * 11) % 101 - 50).to_be_bytes()).collect()
            };
            let transaction =
                if batch { hash(&format!("batch {epoch} {}", i / 4)) } else { hash(&format!("proof {id}")) };
            let done = Market::Fulfilled {
                jobId: U256::from(id),
                payout: who(worker),
                price,
                toWorker: price / 20 * 18,
                output,
            };
            w.event_in(MARKET, block + 3, transaction, &done);
            let fee = milli(200 * (1 + i));
            w.event_in(
                EMISSION,
                block + 3,
                transaction,
                &Emission::Recorded {
                    epoch: U256::from(epoch),
                    worker: who(worker),
                    fee: wide(fee),
                    units: U256::from(109_184),
                },
            );
            *shares.entry(worker).or_default() += fee;
        }
        let total: u128 = shares.values().sum();
        fees += total;
        let mut minted = 0;
        if epoch < 6 {
            for (worker, fee) in &shares {
                let amount = fee / 2;
                minted += amount;
                w.event(
                    EMISSION,
                    FIRST_BLOCK + 1500 * epoch + 900,
                    &Emission::Rewarded { epoch: U256::from(epoch), worker: who(*worker), amount: wide(amount) },
                );
                w.event(
                    TOKEN,
                    FIRST_BLOCK + 1500 * epoch + 900,
                    &Token::Transfer { from: Address::ZERO, to: who(*worker), value: wide(amount) },
                );
            }
        }
        rewards += minted;
        w.result(
            EMISSION,
            &Emission::statsCall { epoch: U256::from(epoch) },
            &Emission::Stats {
                fees: wide(total),
                units: U256::from(109_184 * (epoch + 2)),
                workers: U256::from(shares.len()),
                minted: wide(minted),
                released: U256::ZERO,
            },
        );
    }
    w.event(TOKEN, 12_000, &Token::Transfer { from: MARKET, to: Address::ZERO, value: wide(fees) });
    w.result(TOKEN, &Token::totalSupplyCall {}, &wide(milli(400_000_000) + rewards - fees));

    // Leased, expired, refunded, open.
    let u40 = |n: u64| alloy_primitives::aliases::U40::from(n);
    let mut leased = job(&w, v1, offer);
    (leased.payout, leased.leaseEnd, leased.price, leased.held) =
        (who(21), u40(w.time + 400), milli(2_750), milli(500));
    add_job(&mut w, id + 1, 12_300, &leased, Bytes::new());
    w.event(
        MARKET,
        12_310,
        &Market::Leased { jobId: U256::from(id + 1), payout: who(21), price: leased.price, until: leased.leaseEnd },
    );
    let mut expired = job(&w, v1, offer);
    expired.deadline = u40(w.time - 3_700);
    add_job(&mut w, id + 2, 12_301, &expired, Bytes::new());
    let mut refunded = job(&w, old, offer);
    refunded.status = Market::Status::Closed;
    add_job(&mut w, id + 3, 12_302, &refunded, Bytes::new());
    w.event(
        MARKET,
        12_320,
        &Market::Refunded { jobId: U256::from(id + 3), requester: who(1), amount: wide(milli(5_200)) },
    );
    let open = job(&w, v4, offer);
    add_job(&mut w, id + 4, 12_400, &open, values(&[1; 64]));
    w
}
