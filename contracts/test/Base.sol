// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @dev forge's cheat codes that the tests use.
interface Vm {
    struct DirEntry {
        string errorMessage;
        string path;
        uint64 depth;
        bool isDir;
        bool isSymlink;
    }

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function assume(bool condition) external pure;
    function chainId(uint256 newChainId) external;
    function clearMockedCalls() external;
    function cool(address target) external;
    function deployCode(string calldata artefact, bytes calldata arguments) external returns (address);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function etch(address target, bytes calldata code) external;
    function expectRevert(bytes calldata revertData) external;
    function getRecordedLogs() external returns (Log[] memory logs);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function lastCallGas() external view returns (Gas memory gas);
    function mockCall(address callee, bytes calldata data, bytes calldata returnData) external;
    function mockCallRevert(address callee, bytes calldata data, bytes calldata revertData) external;
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function readDir(string calldata path) external view returns (DirEntry[] memory entries);
    function readFile(string calldata path) external view returns (string memory data);
    function recordLogs() external;
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function toString(uint256 value) external pure returns (string memory);
}

/// @dev Assertions and the stored proofs.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev Orders of the scalar and the base field of BN254.
    uint256 internal constant SCALARS = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 internal constant COORDINATES =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;

    /// @dev A file of test/vectors. The last four fields say what the context was made from; without them
    /// (`submits` false) the vector only serves `verify`.
    struct Vector {
        string name;
        bytes key;
        bytes publicValues;
        bytes32 context;
        bytes proof;
        bool submits;
        uint256 chainId;
        address consumer;
        bytes32 job;
        address recipient;
    }

    error Failed(string what);

    /// @dev Creates a contract with the code that is put on chains: `artifacts/NAME.json`, which ./build makes.
    function deployed(string memory name, bytes memory arguments) internal returns (address) {
        return create(string.concat("artifacts/", name, ".json"), name, name, arguments);
    }

    /// @dev Creates a double, which is in FILE.sol. Gas figures contain some of its code: it is compiled as what it stands for.
    function double(string memory file, string memory name, bytes memory arguments) internal returns (address) {
        return create(string.concat("out/doubles/", file, ".sol/", name, ".json"), file, name, arguments);
    }

    /// @dev From `path`, or for FOUNDRY_PROFILE=quick as the tests are compiled.
    function create(string memory path, string memory file, string memory name, bytes memory arguments)
        private
        returns (address)
    {
        bool quick = keccak256(bytes(vm.envOr("FOUNDRY_PROFILE", "default"))) == keccak256("quick");
        return vm.deployCode(quick ? string.concat(file, ".sol:", name) : path, arguments);
    }

    function check(bool condition, string memory what) internal pure {
        if (!condition) revert Failed(what);
    }

    function equal(uint256 left, uint256 right, string memory what) internal pure {
        if (left != right) revert Failed(string.concat(what, ": ", vm.toString(left), " != ", vm.toString(right)));
    }

    function vectors() internal view returns (Vector[] memory) {
        return vectors("test/vectors");
    }

    /// @dev The vectors of one folder.
    function vectors(string memory folder) internal view returns (Vector[] memory all) {
        Vm.DirEntry[] memory entries = vm.readDir(folder);
        uint256 count;
        for (uint256 i = 0; i < entries.length; i++) {
            if (isJson(entries[i].path)) count++;
        }
        check(count > 0, "no vectors");
        all = new Vector[](count);
        count = 0;
        for (uint256 i = 0; i < entries.length; i++) {
            if (isJson(entries[i].path)) all[count++] = parse(entries[i].path);
        }
    }

    function parse(string memory path) internal view returns (Vector memory v) {
        string memory json = vm.readFile(path);
        v.name = stem(path);
        v.key = vm.parseJsonBytes(json, ".key");
        v.publicValues = vm.parseJsonBytes(json, ".publicValues");
        v.context = vm.parseJsonBytes32(json, ".context");
        v.proof = vm.parseJsonBytes(json, ".proof");
        v.submits = vm.keyExistsJson(json, ".job");
        if (v.submits) {
            v.chainId = vm.parseJsonUint(json, ".chainId");
            v.consumer = vm.parseJsonAddress(json, ".consumer");
            v.job = vm.parseJsonBytes32(json, ".job");
            v.recipient = vm.parseJsonAddress(json, ".recipient");
        }
    }

    function isJson(string memory path) private pure returns (bool) {
        bytes memory b = bytes(path);
        if (b.length < 5) return false;
        bytes5 ending;
        for (uint256 i = 0; i < 5; i++) {
            ending |= bytes5(b[b.length - 5 + i]) >> (8 * i);
        }
        return ending == ".json";
    }

    /// @dev The file name without folder and ".json".
    function stem(string memory path) private pure returns (string memory) {
        bytes memory b = bytes(path);
        uint256 start = b.length;
        while (start > 0 && b[start - 1] != "/") start--;
        bytes memory out = new bytes(b.length - 5 - start);
        for (uint256 i = 0; i < out.length; i++) {
            out[i] = b[start + i];
        }
        return string(out);
    }

    /// @dev Word `index` of `data`.
    function word(bytes memory data, uint256 index) internal pure returns (uint256 value) {
        check(32 * index + 32 <= data.length, "word out of range");
        assembly ("memory-safe") {
            value := mload(add(add(data, 0x20), shl(5, index)))
        }
    }

    /// @dev Overwrites word `index` of `data`.
    function setWord(bytes memory data, uint256 index, uint256 value) internal pure {
        check(32 * index + 32 <= data.length, "word out of range");
        assembly ("memory-safe") {
            mstore(add(add(data, 0x20), shl(5, index)), value)
        }
    }

    /// @dev Highest bonds for a lease that takes whatever is asked.
    function anyBond(uint256 count) internal pure returns (uint128[] memory bonds) {
        bonds = new uint128[](count);
        for (uint256 i = 0; i < count; i++) {
            bonds[i] = type(uint128).max;
        }
    }
}
