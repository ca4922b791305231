//! The settlement key of the reserved impossible claim ([`assay_circuits::canary`]).

use super::{Optimize, SettleFailure, SettlementOptions, SettlementProver, setup_settlement};
use crate::{device::AnyDevice, recorder::Recorder, srs::Srs};
use assay_circuits::{Visibility, canary};

/// The job that a proof of the impossible claim is made for: `bytes32("assay.impossible")`.
pub const JOB: [u8; 32] = *b"assay.impossible\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What the key is made with. The secret is public, since there are no weights to hide, and the row length is fixed: under
/// the same powers of tau everybody gets the same settlement id.
fn options() -> SettlementOptions {
    SettlementOptions {
        visibility: Visibility::default(),
        batch: 1,
        row_bits: Some(4),
        optimize: Optimize::Gas,
        stacks: vec![],
        secret: *b"the impossible claim is public\0\0",
    }
}

/// Makes the key of the canary. Whoever deploys a contract that can be stopped puts its id there; whoever relies on the
/// contract makes the key again and compares. Only the registration argument differs from run to run, and the id does not
/// cover it.
///
/// # Errors
/// Too few powers of tau.
pub fn setup_canary<'d>(
    device: impl Into<AnyDevice<'d>>,
    srs: &Srs,
    recorder: &Recorder<'_>,
) -> Result<SettlementProver, SettleFailure> {
    setup_settlement(device, &canary::model()?, srs, &options(), recorder)
}
