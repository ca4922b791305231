// The verifier contract, the bytecode that is deployed on chains, on an EVM in this page. There is no second verifier.

import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createEVM } from "@ethereumjs/evm";
import { createAddressFromString } from "@ethereumjs/util";
import { bytecode } from "../../../contracts/artifacts/AssayVerifier.json";
import { bigEndian, concat, hex, keccak, unhex } from "./bytes.js";

/** More than any verification takes; the contract says so if it did not suffice. */
const GAS = 1_000_000_000n;
const CALLER = createAddressFromString(`0x${"a5".repeat(20)}`);

const selector = (signature) => keccak(new TextEncoder().encode(signature)).subarray(0, 4);
const REGISTER = selector("register(bytes)");
const VERIFY = selector("verify(bytes32,bytes,bytes32,bytes)");
const ERRORS = new Map([
    ["InvalidKey(uint256)", "the contract does not take the key: a word of it is wrong"],
    ["DevelopmentSrs()", "the contract does not take development powers of tau"],
    ["NonCanonicalCalldata()", "the proof is not made of words of 32 bytes"],
    ["InsufficientGas()", "the contract ran out of gas"],
].map(([signature, text]) => [hex(selector(signature)), text]));

/** The contract refused to answer. */
export class Reverted extends Error {
    constructor(data, reason) {
        const name = hex(data.subarray(0, 4));
        super(ERRORS.get(name) ?? `the contract refused: ${reason}${name && `, 0x${name}`}`);
        this.nonCanonical = name === hex(selector("NonCanonicalCalldata()"));
    }
}

const padded = (bytes) => concat(bytes, new Uint8Array((32 - (bytes.length % 32)) % 32));
const string = (bytes) => concat(bigEndian(bytes.length, 32), padded(bytes));

export class Contract {
    /** A fresh chain under the rules of Osaka with the contract on it. It takes development powers of tau, as it must be told. */
    static async deploy() {
        const evm = await createEVM({ common: new Common({ chain: Mainnet, hardfork: Hardfork.Osaka }) });
        const contract = new Contract(evm);
        const created = await contract.#run({ data: concat(unhex(bytecode), bigEndian(1, 32)) });
        contract.address = created.createdAddress;
        return contract;
    }

    /** One contract for all questions: it has no state but keys, and a key that is there is never another. */
    static shared() {
        return (Contract.#shared ??= Contract.deploy());
    }

    static #shared;

    constructor(evm) {
        this.evm = evm;
    }

    async #run(call) {
        const done = await this.evm.runCall({ caller: CALLER, gasLimit: GAS, ...call });
        const { exceptionError, returnValue } = done.execResult;
        if (exceptionError) throw new Reverted(returnValue, exceptionError.error ?? String(exceptionError));
        return done;
    }

    async #call(data) {
        const done = await this.#run({ to: this.address, data });
        return { value: done.execResult.returnValue, gas: done.execResult.executionGasUsed };
    }

    /** Stores a key; returns its id. */
    async register(words) {
        return (await this.#call(concat(REGISTER, bigEndian(32, 32), string(words)))).value;
    }

    /** Whether the contract accepts a proof, and the gas that its code took. */
    async verify(id, publicValues, context, argument) {
        const first = string(publicValues);
        const head = [id, bigEndian(128, 32), context, bigEndian(128 + first.length, 32)];
        try {
            const { value, gas } = await this.#call(concat(VERIFY, ...head, first, string(argument)));
            return { accepted: value[31] === 1 && value.subarray(0, 31).every((b) => b === 0), gas };
        } catch (e) {
            // The encoding is canonical unless the argument is not made of words.
            if (e instanceof Reverted && e.nonCanonical && argument.length % 32) return { accepted: false, gas: 0n };
            throw e;
        }
    }
}
