//! The development powers of tau that are known by sight.

use ark_bn254::G2Affine;

use crate::{curve::g2_to_bytes, keccak::keccak256};

/// Seeds whose powers are known: 0, 1, 2, ...
pub const DEVELOPMENT_SEEDS: usize = 17;

/// `keccak([tau]_2)` of each of them, as big-endian words; `prover` makes such powers and has the test that these are theirs.
const DEVELOPMENT: [[u64; 4]; DEVELOPMENT_SEEDS] = [
    [0x6244_5c1e_7def_006c, 0x6f7b_4503_eae5_4339, 0xeb31_29b5_8e43_4db7, 0x8324_c7cc_268d_3bf7],
    [0x3f39_b4d1_5b92_fe17, 0x218f_68ba_8e93_798f, 0x3df2_6a7c_ff85_dfc4, 0xc074_72e3_be15_a71a],
    [0x4a3e_e94f_766a_be2a, 0xe05d_c2ec_6768_d12d, 0x67ff_2d9a_e6f4_6aa6, 0x7308_a3d2_7cb5_e11e],
    [0xba76_b36a_883a_f9e7, 0x720f_f928_2954_f83f, 0xc0e2_22a5_809a_03a8, 0x5e25_4b1a_d090_5485],
    [0x1328_dcc0_8d65_b883, 0x6f64_31e8_1d4f_b210, 0x3082_8315_a20e_e89f, 0x83ad_252f_df0c_18df],
    [0x51d1_3d34_9663_2098, 0xc146_9c90_adf6_c281, 0x13fc_6c91_c8cd_6ac6, 0x566e_d114_7280_dd11],
    [0xc816_4367_f48e_766a, 0xc4d8_c8fb_47b8_dd22, 0x0ccc_1873_8b05_60a6, 0x2113_67b3_5e8f_7fe9],
    [0xcd13_e6cc_cac9_e5e1, 0x9e8b_0497_7b14_b140, 0x1d58_72e8_5762_3af6, 0xf602_2b6e_8472_1ecb],
    [0x80a0_010f_5c99_1c0b, 0x006b_20bb_03bd_fd5a, 0xfb94_aafa_e292_97a3, 0xda95_2a68_e164_ca1e],
    [0xe1dc_3841_4315_9377, 0xf4c9_3871_6489_5ef5, 0x815e_59ec_b71b_029c, 0x07f7_9394_aa9e_bee4],
    [0x70e6_8dc4_32e8_ec16, 0x7ea5_3091_e831_a695, 0xfe10_9fc6_13ca_8e18, 0xf142_4b54_d721_1090],
    [0x492d_4b87_d666_9279, 0x088f_55fa_ad56_f9b0, 0xe8e1_decd_2c5d_678a, 0xe984_b031_472a_c184],
    [0x6932_09f8_fd19_c581, 0x0c8f_1785_a47b_bb10, 0x8506_7ecf_ccea_eeb2, 0x8e88_f625_1d78_b168],
    [0xa1fc_5c98_3693_fc12, 0x7f74_bd09_1637_1fa6, 0x7297_ada0_53a6_ccb1, 0xd10f_ef85_e5c2_09dc],
    [0xfa7e_6e06_d980_05b7, 0xed40_c79a_34b0_b7ce, 0x5a89_9b63_298e_9101, 0xb2a1_7e0b_b275_5672],
    [0xdfde_7a4e_105e_f9a1, 0x938e_38e3_866d_b7dc, 0x58cb_d53e_d488_1239, 0x3390_4d02_20ce_1fe2],
    [0x0cb3_bbf1_9535_17df, 0x4fac_41ef_c3b5_9106, 0x9386_985d_09e0_fefc, 0xbf08_5851_f563_0546],
];

/// Whether `tau_g2` belongs to development powers that anybody can compute. Powers of other seeds, or of another secret that was
/// told, cannot be known by sight: a key is as good as where it comes from.
#[must_use]
pub fn is_development(tau_g2: &G2Affine) -> bool {
    let digest = keccak256(&[&g2_to_bytes(tau_g2)]);
    DEVELOPMENT.iter().any(|words| words.iter().flat_map(|w| w.to_be_bytes()).eq(digest))
}
