//! One file per command.

pub(crate) mod bench;
pub(crate) mod chain;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod evaluate;
pub(crate) mod explorer;
pub(crate) mod farm;
pub(crate) mod govern;
pub(crate) mod inspect;
pub(crate) mod job;
pub(crate) mod model;
pub(crate) mod prove;
pub(crate) mod run;
pub(crate) mod settle;
pub(crate) mod setup;
pub(crate) mod show;
pub(crate) mod srs;
pub(crate) mod stack;
pub(crate) mod train;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod worker;
