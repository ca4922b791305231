//! Transactions: one at a time, each with its nonce until it is included.
//!
//! What was sent may be included whatever the node answered, so a hash is looked up for as long as the sender waits. A
//! transaction that is not included is sent again with the same nonce and a higher offer: at most one of them happens. One
//! that must not happen late is replaced by a transaction that does nothing.

use super::{
    FIRST_WAIT, LAST_WAIT, Rpc,
    fee::Fee,
    wire::{NodeReceipt, Request},
};
use crate::{
    Error, Signer,
    abi::Revert,
    chain::{BASE_GAS, Call, Receipt, TRANSACTION_GAS},
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use std::time::{Duration, Instant};

/// How often the nonce must be found used, or out of reach, without a receipt, before it is believed: a node may be behind another.
const MISSES: u32 = 3;
/// How long until a transaction whose sending was not answered is sent once more.
const AGAIN: Duration = Duration::from_secs(1);

/// What a node says to a transaction.
enum Answer {
    /// It has it, or had it before.
    Taken,
    /// Its nonce is used already.
    Used,
    /// Its offer is too low to take another's place.
    Low(Error),
    /// Something else is wrong with it.
    Refused(Error),
    /// Nothing that can be relied on.
    Doubt(Error),
}

/// A transaction under way, in all forms it was sent in.
struct Flight<'a> {
    call: &'a Call,
    gas_limit: u64,
    account: Address,
    nonce: u64,
    fee: Fee,
    /// Newest last.
    hashes: Vec<B256>,
    /// The form that was sent last.
    bytes: Bytes,
    /// The hashes from here on belong to transactions that do nothing.
    nothing_from: Option<usize>,
    doubt: Option<Error>,
    /// The node says that the nonce was used before anything was sent.
    used: bool,
}

impl Rpc {
    /// Sends a call and waits until it is part of the chain.
    pub(super) fn transact(&self, call: &Call) -> Result<Receipt, Error> {
        let Some(signer) = &self.signer else { return Err(Error::NoSigner { place: self.place.clone() }) };
        let account = signer.address();
        let gas_limit = match call.gas_limit {
            Some(limit) => limit,
            None => {
                let gas = self.estimate(call)?;
                // Other transactions may come first and make this one dearer.
                let more = gas.saturating_add(gas / 8);
                if gas <= TRANSACTION_GAS { more.min(TRANSACTION_GAS) } else { more }
            }
        };
        let fee = self.fee()?;
        let needed = (U256::from(gas_limit) * U256::from(fee.most())).saturating_add(call.value);
        let balance: U256 = self.ask("eth_getBalance", (account, "latest"))?;
        if balance < needed {
            return Err(Error::InsufficientFunds { account, place: self.place.clone(), balance, needed });
        }
        let nonce = self.count(account, if self.options.sole_sender { "latest" } else { "pending" })?;
        let mut flight = Flight {
            call,
            gas_limit,
            account,
            nonce,
            fee,
            hashes: Vec::new(),
            bytes: Bytes::new(),
            nothing_from: None,
            doubt: None,
            used: false,
        };
        self.launch(signer, &mut flight)?;
        let (receipt, hash) = self.follow(signer, &mut flight)?;
        self.landed(&flight, receipt, hash)
    }

    fn count(&self, account: Address, tag: &'static str) -> Result<u64, Error> {
        let nonce: U256 = self.ask("eth_getTransactionCount", (account, tag))?;
        u64::try_from(nonce).map_err(|_| self.bad("its transaction count is out of all proportion"))
    }

    /// Sends the first form. What an earlier process left with this nonce is outbid if the account is ours alone.
    fn launch(&self, signer: &Signer, flight: &mut Flight<'_>) -> Result<(), Error> {
        loop {
            self.prepare(signer, flight)?;
            match self.offer(&flight.bytes) {
                Answer::Taken => return Ok(()),
                Answer::Used => {
                    flight.used = true;
                    return Ok(());
                }
                Answer::Doubt(e) => {
                    flight.doubt = Some(e);
                    return Ok(());
                }
                Answer::Low(e) if self.options.sole_sender => {
                    match self.raise(&flight.fee, self.options.max_fee_per_gas) {
                        Some(fee) => {
                            flight.fee = fee;
                            flight.hashes.clear();
                        }
                        None => return Err(e),
                    }
                }
                Answer::Low(e) | Answer::Refused(e) => return Err(e),
            }
        }
    }

    /// Signs the current form and notes its hash.
    fn prepare(&self, signer: &Signer, flight: &mut Flight<'_>) -> Result<(), Error> {
        let bytes = if flight.nothing_from.is_some() {
            let nothing = Call::new(flight.account, Bytes::new());
            self.sign(signer, &nothing, BASE_GAS, flight.nonce, &flight.fee)?
        } else {
            self.sign(signer, flight.call, flight.gas_limit, flight.nonce, &flight.fee)?
        };
        flight.hashes.push(keccak256(&bytes));
        flight.bytes = bytes.into();
        Ok(())
    }

    fn offer(&self, bytes: &Bytes) -> Answer {
        match self.ask::<_, B256>("eth_sendRawTransaction", (bytes.clone(),)) {
            Ok(_) => Answer::Taken,
            Err(e @ Error::Refused { .. }) => {
                let Error::Refused { message, .. } = &e else { return Answer::Refused(e) };
                let text = message.to_lowercase();
                let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
                if says(&["already known", "already imported", "known transaction", "already exists"]) {
                    Answer::Taken
                } else if says(&["nonce too low", "nonce is too low"]) {
                    Answer::Used
                } else if says(&["underpriced", "replacement fee too low"]) {
                    Answer::Low(e)
                } else {
                    Answer::Refused(e)
                }
            }
            Err(e) => Answer::Doubt(e),
        }
    }

    /// Waits for a receipt of any form. Questions that fail are asked again until the time is over: the transaction is
    /// under way.
    fn follow(&self, signer: &Signer, flight: &mut Flight<'_>) -> Result<(NodeReceipt, B256), Error> {
        let started = Instant::now();
        let mut raised = Instant::now();
        let mut again = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut misses = 0;
        let withdraw = self.withdraw_after;
        loop {
            // Asked first: whatever is included after this answer, a receipt below is of the same nonce.
            let count = (wait >= LAST_WAIT).then(|| self.count(flight.account, "latest").ok()).flatten();
            // A reorganisation may have taken an earlier transaction away: behind the gap this one would wait for ever.
            let gap = self.options.sole_sender && count.is_some_and(|n| n < flight.nonce);
            let used = flight.used || gap || count.is_some_and(|n| n > flight.nonce);
            let mut last = None;
            for hash in flight.hashes.iter().rev() {
                match self.ask::<_, Option<NodeReceipt>>("eth_getTransactionReceipt", (*hash,)) {
                    Ok(Some(receipt)) if receipt.transaction_hash == *hash => return Ok((receipt, *hash)),
                    Ok(Some(_)) => last = Some(self.bad("it sends the receipt of another transaction")),
                    Ok(None) => {}
                    Err(e) => last = Some(e),
                }
            }
            misses = if used && last.is_none() { misses + 1 } else { 0 };
            let hash = flight.hashes.last().copied().unwrap_or_default();
            if misses >= MISSES {
                return Err(Error::Displaced { hash, account: flight.account, place: self.place.clone() });
            }
            let elapsed = started.elapsed();
            if elapsed + wait > self.options.receipt_timeout {
                return Err(match flight.doubt.take() {
                    Some(reason) => Error::Unsure { hash, reason: Box::new(reason) },
                    None => Error::Pending {
                        hash,
                        endpoint: self.shown(),
                        seconds: self.options.receipt_timeout.as_secs(),
                        last: last.map(Box::new),
                    },
                });
            }
            if flight.nothing_from.is_none() && withdraw.is_some_and(|limit| elapsed >= limit) {
                flight.nothing_from = Some(flight.hashes.len());
                self.outbid(signer, flight)?;
                raised = Instant::now();
                wait = FIRST_WAIT;
            } else if raised.elapsed() >= self.options.raise_after {
                self.outbid(signer, flight)?;
                raised = Instant::now();
            } else if flight.doubt.is_some() && again.elapsed() >= AGAIN {
                if matches!(self.offer(&flight.bytes), Answer::Taken | Answer::Used) {
                    flight.doubt = None;
                }
                again = Instant::now();
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Sends another form with a higher offer; if none is allowed or taken, the old one stays.
    fn outbid(&self, signer: &Signer, flight: &mut Flight<'_>) -> Result<(), Error> {
        // What must not happen is worth more than what should.
        let limit = self.options.max_fee_per_gas.saturating_mul(if flight.nothing_from.is_some() { 2 } else { 1 });
        let Some(fee) = self.raise(&flight.fee, limit) else { return Ok(()) };
        let old = flight.bytes.clone();
        flight.fee = fee;
        self.prepare(signer, flight)?;
        match self.offer(&flight.bytes) {
            Answer::Taken => flight.doubt = None,
            Answer::Used => {}
            Answer::Doubt(e) => flight.doubt = Some(e),
            Answer::Low(_) | Answer::Refused(_) => {
                // What was refused cannot be included. A higher offer still is made from here the next time.
                flight.hashes.pop();
                flight.bytes = old;
            }
        }
        Ok(())
    }

    fn landed(&self, flight: &Flight<'_>, receipt: NodeReceipt, hash: B256) -> Result<Receipt, Error> {
        let place = flight.hashes.iter().position(|h| *h == hash);
        if flight.nothing_from.zip(place).is_some_and(|(from, place)| place >= from) {
            let seconds = self.withdraw_after.unwrap_or_default().as_secs();
            return Err(Error::Withdrawn { hash, place: self.place.clone(), seconds });
        }
        let call = flight.call;
        let number = |n: U256, what: &str| u64::try_from(n).map_err(|_| self.bad(what));
        let gas_used = number(receipt.gas_used, "the receipt has no sensible gas")?;
        let block = number(receipt.block_number, "the receipt has no sensible block")?;
        let success = match receipt.status {
            Some(status) if status == U256::ZERO => false,
            Some(status) if status == U256::from(1) => true,
            _ => return Err(self.bad("the receipt has no status")),
        };
        let created = (success && call.to.is_none()).then(|| flight.account.create(flight.nonce));
        if created.is_some() && receipt.contract_address != created {
            return Err(self.bad("the receipt names another contract than the transaction creates"));
        }
        let revert = (!success).then(|| self.reason(call, flight.gas_limit, receipt.block_number));
        Ok(Receipt { hash, block, gas_used, created, logs: receipt.logs.into_iter().map(Into::into).collect(), revert })
    }

    /// Signs a transaction; gives its bytes.
    fn sign(&self, signer: &Signer, call: &Call, gas_limit: u64, nonce: u64, fee: &Fee) -> Result<Vec<u8>, Error> {
        let to = call.to.map_or(TxKind::Create, TxKind::Call);
        let (value, input) = (call.value, call.data.clone());
        let mut out = Vec::new();
        match *fee {
            Fee::Dynamic(max_priority_fee_per_gas, max_fee_per_gas) => {
                let tx = TxEip1559 {
                    chain_id: self.chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list: Default::default(),
                    input,
                };
                tx.eip2718_encode(&signer.sign(&tx.signature_hash())?, &mut out);
            }
            Fee::Legacy(gas_price) => {
                let tx = TxLegacy { chain_id: Some(self.chain_id), nonce, gas_price, gas_limit, to, value, input };
                tx.eip2718_encode(&signer.sign(&tx.signature_hash())?, &mut out);
            }
        }
        Ok(out)
    }

    pub(super) fn estimate(&self, call: &Call) -> Result<u64, Error> {
        let gas: U256 = self.run("eth_estimateGas", (self.request_of(call),), call)?;
        u64::try_from(gas).map_err(|_| self.bad("its gas estimate is out of all proportion"))
    }

    /// Why a transaction of the chain failed, found by running it again after its block.
    fn reason(&self, call: &Call, gas_limit: u64, block: U256) -> Revert {
        let request = Request { gas: Some(U256::from(gas_limit)), ..self.request_of(call) };
        match self.run::<_, Bytes>("eth_call", (request, block), call) {
            Err(Error::Reverted { revert, .. }) => revert,
            _ => Revert::Halted("it fails no more when it is run again".to_owned()),
        }
    }
}
