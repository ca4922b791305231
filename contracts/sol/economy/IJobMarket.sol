// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ILedger } from "./ILedger.sol";

/// @title Jobs, leases and payment.
/// @notice
///   Open  --fulfil-->  Fulfilled  --refund (what is left for the requester)-->  Closed
///     |---refund (deadline over, verifier ended, or cancelled without a live lease)-->  Closed
/// A lease gives one worker the sole right to be paid until it ends. It locks the price while it lives and takes a bond. While
/// no lease is live anybody may fulfil, at the price of the moment. Time under lease does not count for the rise of the price:
/// a lost lease neither raises it nor keeps it down.
/// The payout address is inside of the proven context, so a copied proof pays its maker. All payments are pulled.
interface IJobMarket is ILedger {
    enum Status {
        None,
        Open,
        Fulfilled,
        Closed
    }

    /// @notice What a requester asks for.
    struct Spec {
        bytes32 verifierId;
        bytes32 offerId;
        /// keccak256(salt, input values as in the proof's public values: 8 bytes each, big-endian two's complement).
        bytes32 inputCommitment;
        /// The price rises from `minPrice` at `rampStart` to `maxPrice` at `rampEnd`; both move on by the length of each lease.
        uint128 minPrice;
        uint128 maxPrice;
        uint40 rampStart;
        uint40 rampEnd;
        uint40 deadline;
        uint32 leaseSeconds;
        /// Between 1/20 of `maxPrice` and `maxPrice`.
        uint128 bond;
    }

    /// @notice A job as it is stored.
    struct Job {
        address requester;
        Status status;
        uint40 rampStart; // with the time of all leases until now
        uint40 rampEnd;
        address payout; // of the last lease, or who was paid
        uint40 leaseEnd; // 0: never leased
        uint40 deadline;
        uint32 leaseSeconds;
        uint128 minPrice;
        uint128 maxPrice;
        uint128 price; // locked by a live lease, or paid; else 0
        uint128 bond; // asked of a lease
        uint128 held; // bond held now
        uint128 rescue; // for whoever fulfils after a lost lease
        uint128 workFee;
        uint16 protocolBps;
        uint8 kind; // 1: inference; training is another kind on the same states
        bytes32 verifierId;
        bytes32 offerId;
        bytes32 inputCommitment;
    }

    event Posted(
        uint256 indexed jobId,
        address indexed requester,
        bytes32 indexed verifierId,
        Spec spec,
        uint128 workFee,
        bytes32 salt,
        bytes input
    );
    event Leased(uint256 indexed jobId, address indexed payout, uint128 price, uint40 until);
    event LeaseLost(uint256 indexed jobId, address indexed payout, uint128 burned, uint128 toRescuer);
    /// @notice The job's verifier has ended, so the bond is credited in full to the lease's payout address.
    event BondReturned(uint256 indexed jobId, address indexed payout, uint128 amount);
    /// @notice `toWorker` is all that was credited to `payout`: his part of the price, his bond, and what others lost.
    /// `output` are the proven output values, 8 bytes each, big-endian two's complement.
    event Fulfilled(uint256 indexed jobId, address indexed payout, uint128 price, uint128 toWorker, bytes output);
    event Refunded(uint256 indexed jobId, address indexed requester, uint256 amount);
    event ProtocolBps(uint16 bps);
    event FeeRate(uint256 perBillionUnits);

    error BadSpec(uint256 field);
    error VerifierEnded(bytes32 verifierId);
    error WrongOffer();
    error NotOpen(uint256 jobId);
    error LeaseLive(uint256 jobId, uint40 until);
    /// @notice The job asks for a higher bond than the worker allowed.
    error BondTooHigh(uint256 jobId, uint128 bond);
    /// @notice The lease would end, at its length or the deadline, before what the worker asked for with `minUntil`.
    error LeaseTooShort(uint256 jobId, uint40 until);
    /// @notice Not one highest bond for each job.
    error WrongLength();
    error DeadlineOver(uint256 jobId);
    error TooEarly(uint256 jobId);
    error NothingLeft(uint256 jobId);
    error WrongPayout(uint256 jobId, address expected);
    error WrongBatch(uint256 expected);
    error WrongVerifier(uint256 jobId);
    error WrongInput(uint256 jobId);
    error BadOrder();
    error InvalidProof();
    error TooHigh(uint256 highest);

    /// @notice Posts a job and takes `maxPrice` and the work fee from the caller. With an `input` it must match the
    /// commitment, and workers can read it from the event; without one the requester sends salt and input to workers himself.
    /// The work fee is that of the moment: who allows `maxPrice + workFee` cannot be charged more.
    function post(Spec calldata spec, bytes32 salt, bytes calldata input) external returns (uint256 jobId);

    /// @notice Takes leases on jobs, all or none, and their bonds from the caller; `payout` is who will be paid and gets the
    /// bonds back.
    /// @param maxBonds One a job: the most that the caller lets be bonded for it. In a reorganised chain a number may mean
    /// another job with another bond.
    /// @param minUntil The least lease that the caller needs, else the bond would be lost. Up to `MAX_LEASE_SECONDS`: seconds that
    /// each lease must last from the block on that the call is mined in, however late that is. Above: a block time that each
    /// lease must reach, which says nothing about how much of it is left when the call is mined.
    function lease(uint256[] calldata jobIds, address payout, uint128[] calldata maxBonds, uint40 minUntil) external;

    /// @notice Pays for proven jobs. As many ids as the verifier's batch; ids rise strictly, zeros at the end are slots of the
    /// proof that nobody pays for. All jobs have the same verifier and offer. Anybody may send it: it pays `payout`, which is
    /// in the proof's context: `contextFor(this, contextJob(jobIds), payout)`.
    /// @param salts One a job that is not zero.
    function fulfil(
        uint256[] calldata jobIds,
        bytes32[] calldata salts,
        address payout,
        bytes calldata publicValues,
        bytes calldata proof
    ) external;

    /// @notice Credits requesters with what is left of their jobs: all of it if the deadline is over, the verifier has ended, or
    /// the requester calls while no lease is live; the difference to the locked price after fulfilment. Anybody may call.
    function refund(uint256[] calldata jobIds) external;

    /// @notice The `job` of the context: the id itself for one job, else keccak256(abi.encode("assay.batch.v1", jobIds)).
    function contextJob(uint256[] calldata jobIds) external pure returns (bytes32);

    /// @notice What a lease or a fulfilment now would lock or pay.
    function currentPrice(uint256 jobId) external view returns (uint128);

    /// @notice What a job for this verifier would pay now on top of `maxPrice`.
    function workFee(bytes32 verifierId) external view returns (uint128);

    /// @notice For jobs posted now: the treasury's part of prices in 1/10000, and the fee for 10^9 multiply-adds.
    function rates() external view returns (uint16 protocolBps, uint256 feePerBillionUnits);

    function job(uint256 jobId) external view returns (Job memory);
    function jobs() external view returns (uint256);
}
