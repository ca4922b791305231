// The part of Ethereum's ABI that this page needs. Everything that comes in is checked against its type and its length: a
// contract may answer with anything.

/** Functions by signature: selector and result. Compared with the hashes of the signatures by a test. */
export const FUNCTIONS = {
    "acceptsDevelopmentSrs()": ["0xdf3b6d75", "(bool)"],
    "totalSupply()": ["0x18160ddd", "(uint256)"],
    "cap()": ["0x355274ea", "(uint256)"],
    "symbol()": ["0x95d89b41", "(string)"],
    "decimals()": ["0x313ce567", "(uint8)"],
    "isActive(bytes32)": ["0x5c36901c", "(bool)"],
    "entry(bytes32)": [
        "0x80820b31",
        "((address,uint32,uint32,uint32,bytes32,bytes32,bytes32,bytes32,bytes32,uint64,uint64))",
    ],
    "job(uint256)": [
        "0x2329e48c",
        "((address,uint8,uint40,uint40,address,uint40,uint40,uint32,uint128,uint128,uint128,uint128,uint128,uint128,uint128,uint16,uint8,bytes32,bytes32,bytes32))",
    ],
    "jobs()": ["0x7c8fce23", "(uint256)"],
    "currentPrice(uint256)": ["0x7a3c4c17", "(uint128)"],
    "unburned()": ["0x2d1d2c13", "(uint256)"],
    "currentEpoch()": ["0x76671808", "(uint256)"],
    "budget(uint256)": ["0xab52bde9", "(uint256)"],
    "publicBudget(uint256)": ["0xa157a66e", "(uint256)"],
    "stats(uint256)": ["0xad217ae5", "((uint256,uint256,uint256,uint256,uint256))"],
    "keyOf(bytes32)": ["0xdf78bce2", "(address)"],
    "count()": ["0x06661abd", "(uint256)"],
    "get(bytes32)": ["0x8eaa6ac0", "((address,uint16,uint40,uint40,address,uint32,uint64,bytes32,bytes32))"],
    "tasks()": ["0xc305a6d9", "(uint256)"],
    "task(uint256)": [
        "0x17751a21",
        "((uint8,uint8,uint16,uint32,uint32,uint32,uint88,uint40,uint96,uint96,uint40,uint24,uint96,uint32,uint64,uint32,uint32,address,uint88,uint96,uint32,bytes32,bytes32,bytes32,bytes32,bytes32))",
    ],
    "round(uint256)": [
        "0x34d5f37b",
        "((address,uint40,uint16,uint32,address,uint96,uint96,uint96,uint40,uint32,bytes32,bytes32,bytes32,bytes32))",
    ],
};

/** Functions whose calldata is read, not called: selector and names of the arguments. */
export const SENT = {
    "fulfil(uint256[],bytes32[],address,bytes,bytes)": ["0x54e0ee1f", "jobIds salts payout publicValues proof"],
    "submitTrain(uint256,bytes32,bytes,bytes,string)": ["0x5404cc65", "taskId trained losses proof uri"],
    "settleEval(uint256,uint64,uint64,bytes)": ["0xc6b311de", "taskId before later proof"],
};

/** Events by signature: first topic, how many parameters are topics (always the first ones), and names. */
export const EVENTS = {
    "Posted(uint256,address,bytes32,(bytes32,bytes32,bytes32,uint128,uint128,uint40,uint40,uint40,uint32,uint128),uint128,bytes32,bytes)": [
        "0xc49c9d89d838396fba74fc9d0565a9f9e4cb9a8def0341370182153623b38244",
        3,
        "jobId requester verifierId spec workFee salt input",
    ],
    "Leased(uint256,address,uint128,uint40)": [
        "0x8871a66d56785fa92467a1a7abaf6bee0045cecda65f1528aba2be54559105a9",
        2,
        "jobId payout price until",
    ],
    "LeaseLost(uint256,address,uint128,uint128)": [
        "0x5aca09baafff173618d83ac6a20027e89c807b3e3baf733946203514dfb24ff4",
        2,
        "jobId payout burned toRescuer",
    ],
    "Fulfilled(uint256,address,uint128,uint128,bytes)": [
        "0x4a6ff2966373bef1cbb2904a497c95b506cb8b7adb47a6335dda5bc0e29a8172",
        2,
        "jobId payout price toWorker output",
    ],
    "BondReturned(uint256,address,uint128)": [
        "0x5e402075d4584a4f951d3573797b754e0ec7a259317ba2c652abb5a626290bf1",
        2,
        "jobId payout amount",
    ],
    "Refunded(uint256,address,uint256)": [
        "0x7ca5472b7ea78c2c0141c5a12ee6d170cf4ce8ed06be3d22c8252ddfc7a6a2c4",
        2,
        "jobId requester amount",
    ],
    "Recorded(uint256,address,uint256,uint256)": [
        "0x2f6e1bc37209ecfea3f918049b7274cabc8987200dd10fa0012ece299381aeb4",
        2,
        "epoch worker fee units",
    ],
    "Rewarded(uint256,address,uint256)": [
        "0x6d46424d7308d93179bbc5c8c01e098e8353dad13aff9809fd8a881a69feaa3a",
        2,
        "epoch worker amount",
    ],
    "Released(uint256,address,uint256)": [
        "0x3bfce8de0db7450cc169b94323c210e69a36c6a4a58c9f5d96bec4973adce392",
        2,
        "epoch to amount",
    ],
    "Offered(bytes32,bytes32,address,uint16,address,uint16,string)": [
        "0xd886873bd2ea889594a7fdff9f201574acca503f73ebb68d03792bc1696031e8",
        3,
        "offerId modelId owner royaltyBps dataRecipient dataBps uri",
    ],
    "Added(bytes32,bytes32,address,bytes32,uint64)": [
        "0x16ca752729afa4a8c0188d729098291d544c53360892b48eba757644fdcc6262",
        3,
        "verifierId modelId verifier settlementId workUnits",
    ],
    "Tombstoned(bytes32)": ["0x1625044bf73054693961035e5fe2fcf1957c541bdac33dce486ede4bfd66df36", 1, "verifierId"],
    "Stopped(address,bytes32,address)": [
        "0xa8c9a2f66ec5e2f05e556308aa89a51326996b5b4324d8a74dceabb4bafb90f1",
        2,
        "verifier srsHash by",
    ],
    "Registered(bytes32,bytes32,address,(bytes32,uint16,address),bytes,string)": [
        "0x3c47d330d4c381078ab3be5e3381074dc5027255b301ed7b633c77204ac934f4",
        3,
        "datasetId stackId owner terms schema uri",
    ],
    "Retired(bytes32)": ["0xa413ea3a59fdc113a0b20fa2b977026030813964b339a26b765882e48357aaa5", 1, "datasetId"],
    "Opened(uint256,address,bytes32,(bytes32,bytes32,bytes32,bytes32,uint32,bytes32,uint64,uint32,uint128,uint128,uint128,uint40,uint40,uint40,uint32,uint128,uint32,uint32,uint128),string)": [
        "0x1200da53b4ca8e1be73779baa2f71eb2056396e3802632e1ed71963a6d24c2b0",
        3,
        "taskId sponsor head spec uri",
    ],
    "RoundLeased(uint256,uint32,address,bytes32,bytes32,uint128,uint40,uint40)": [
        "0xa9851367f19485e3cdb2e9560fb9fcf5686cc96331003aaaad907df0368f243e",
        3,
        "taskId round payout head datasetId price until pinned",
    ],
    "Seeded(uint256,uint32,bytes32)": [
        "0x73ebbfcf2d1db48a90c0ac08cc3af9ee0e890937a05c42eeb575aee69d4cdff4",
        2,
        "taskId round seed",
    ],
    "Trained(uint256,uint32,address,bytes32,uint32,uint128,bytes,string)": [
        "0x84af0919b02ae835e617ae090418463bcc556ea612cfbf1063239f92f425044d",
        3,
        "taskId round payout trained shard toWorker losses uri",
    ],
    "Revealed(uint256,uint32,uint32,bytes32,string)": [
        "0x222c7f43db931045c122d6989c889b3d8bbc6e12e2394642c53bdafbb4d4f40c",
        2,
        "taskId round shard stackId uri",
    ],
    "Evaluated(uint256,uint32,address,uint64,uint64,uint128,bytes32)": [
        "0x070e9fb7d2a0dcf35295457154e66107c128c5c548ea5dcabc2a5a36332caf4f",
        3,
        "taskId round payout before later gain head",
    ],
    "RoundLost(uint256,uint32,address,uint128,uint128)": [
        "0x32e61a534e8ef8fae9b45214bb4c84d2ef9a83d65f378f38ca20b53dd2d274d2",
        3,
        "taskId round payout burned kept",
    ],
    "NotRevealed(uint256,uint32,address,uint128)": [
        "0x2bfd93e9068341707f125f4be1ef92f6695b17bfb8dc87b945e51a570004a891",
        3,
        "taskId round payout gain",
    ],
    "NotEvaluated(uint256,uint32,address)": [
        "0xde07957ea095f5a2dbf4800f81071e913b371252de8bc5469dd97bef96ff3f42",
        3,
        "taskId round payout",
    ],
    "RoundVoid(uint256,uint32,address)": [
        "0x5134ce6a96b708f1c5857e9b4d7da07b65ef806f88586d2acb5741c62ccc57ec",
        3,
        "taskId round payout",
    ],
    "TaskRefunded(uint256,address,uint256)": [
        "0x098446306d18a8ba797caf5ad3be836bc7fadb0fa82d207e934992497bdeaf61",
        2,
        "taskId sponsor amount",
    ],
    "Transfer(address,address,uint256)": [
        "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        2,
        "from to value",
    ],
};

export const TRANSFER = EVENTS["Transfer(address,address,uint256)"][0];
export const ZERO_WORD = "0x" + "0".repeat(64);

const bad = (what) => new Error(`a contract answers ${what}`);

/** The types inside of a pair of brackets. */
export function parseTypes(text) {
    const out = [];
    let depth = 0;
    let start = 1;
    for (let i = 0; i < text.length; i++) {
        const c = text[i];
        if (c === "(") depth++;
        if (c === ")") depth--;
        if ((c === "," && depth === 1) || depth === 0) {
            if (i > start) out.push(text.slice(start, i));
            start = i + 1;
        }
    }
    return out;
}

const isDynamic = (type) =>
    type.endsWith("[]") || type === "bytes" || type === "string" || (type.startsWith("(") && parseTypes(type).some(isDynamic));
const headWords = (type) =>
    type.startsWith("(") && !isDynamic(type) ? parseTypes(type).reduce((n, t) => n + headWords(t), 0) : 1;

/** Hexadecimal with 0x to bytes. */
export function bytesOf(hex) {
    if (typeof hex !== "string" || !/^0x(?:[0-9a-fA-F]{2})*$/.test(hex)) throw bad("no hexadecimal bytes");
    const out = new Uint8Array(hex.length / 2 - 1);
    for (let i = 0; i < out.length; i++) out[i] = parseInt(hex.substr(2 + 2 * i, 2), 16);
    return out;
}

export const hexOf = (bytes) => "0x" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

function slice(bytes, from, length) {
    if (from + length > bytes.length) throw bad("too few bytes");
    return bytes.subarray(from, from + length);
}

const wordAt = (bytes, at) => BigInt(hexOf(slice(bytes, at, 32)));

/** An offset or a length: a number that fits into the data. */
function sizeAt(bytes, at) {
    const n = wordAt(bytes, at);
    if (n > BigInt(bytes.length)) throw bad("a length beyond its end");
    return Number(n);
}

/** Integers become BigInt, addresses and fixed bytes lower-case hexadecimal, bytes Uint8Array. */
function value(type, bytes, at) {
    if (type.endsWith("[]")) return list(type.slice(0, -2), bytes, at);
    if (type.startsWith("(")) return tuple(parseTypes(type), bytes.subarray(at));
    if (type === "bytes" || type === "string") {
        const data = slice(bytes, at + 32, sizeAt(bytes, at));
        return type === "bytes" ? data : new TextDecoder().decode(data);
    }
    const n = wordAt(bytes, at);
    if (type === "bytes32") return hexOf(slice(bytes, at, 32));
    const bits = type === "address" ? 160 : type === "bool" ? 1 : Number(type.slice("uint".length));
    if (n >> BigInt(bits)) throw bad(`a number that is no ${type}`);
    if (type === "bool") return n === 1n;
    return type === "address" ? "0x" + n.toString(16).padStart(40, "0") : n;
}

/** A list of elements of one word each. */
function list(type, bytes, at) {
    const length = sizeAt(bytes, at);
    slice(bytes, at + 32, 32 * length);
    return Array.from({ length }, (_, i) => value(type, bytes, at + 32 * (i + 1)));
}

function tuple(types, bytes) {
    let at = 0;
    return types.map((type) => {
        const from = isDynamic(type) ? sizeAt(bytes, at) : at;
        at += 32 * headWords(type);
        return value(type, bytes, from);
    });
}

/** The result of a function; its only value if there is one. */
export function decodeResult(signature, hex) {
    const values = tuple(parseTypes(FUNCTIONS[signature][1]), bytesOf(hex));
    return values.length === 1 ? values[0] : values;
}

/** The arguments of a call that somebody sent, by their names; null if it is of another function. */
export function decodeSent(signature, hex) {
    const [selector, names] = SENT[signature];
    const bytes = bytesOf(hex);
    if (hexOf(bytes.subarray(0, 4)) !== selector) return null;
    const values = tuple(parseTypes(signature.slice(signature.indexOf("("))), bytes.subarray(4));
    return Object.fromEntries(names.split(" ").map((n, i) => [n, values[i]]));
}

/** Calldata; the arguments are integers or hexadecimal of at most one word each. */
export function encodeCall(signature, ...parameters) {
    return FUNCTIONS[signature][0] + parameters.map((p) => BigInt(p).toString(16).padStart(64, "0")).join("");
}

const BY_TOPIC = new Map(Object.entries(EVENTS).map(([signature, [topic, indexed, names]]) => {
    const open = signature.indexOf("(");
    return [topic, { name: signature.slice(0, open), types: parseTypes(signature.slice(open)), indexed, names: names.split(" ") }];
}));

/** An event as an object with `name`; null for events that are not read here. */
export function decodeLog(log) {
    const event = BY_TOPIC.get(log.topics?.[0]);
    if (!event) return null;
    const { name, types, indexed, names } = event;
    if (log.topics.length !== indexed + 1) throw bad("an event with other topics");
    const topics = log.topics.slice(1).map((topic, i) => value(types[i], bytesOf(topic), 0));
    const values = [...topics, ...tuple(types.slice(indexed), bytesOf(log.data))];
    return { name, ...Object.fromEntries(names.map((n, i) => [n, values[i]])) };
}

/** Values of a proof: 8 bytes each, big-endian two's complement. */
export function signedValues(bytes) {
    if (bytes.length % 8) throw bad("values that are not 8 bytes each");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Array.from({ length: bytes.length / 8 }, (_, i) => view.getBigInt64(8 * i));
}
