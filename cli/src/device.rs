//! What the prover's kernels run on: the processor, or a CUDA card.

use crate::{
    App,
    error::{Failure, Outcome},
    output::bytes,
};
use assay_prover::device::{
    Cpu,
    cuda::{Cuda, CudaError, DeviceFailure},
};
use std::{str::FromStr, sync::OnceLock};

/// Leaves of a lookup tree below which `auto` does not even look for a card: rounds of small layers wait for the card more
/// than they compute. Estimated, not measured.
const WORTHWHILE: usize = 1 << 18;

/// What `--device` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A card for large work, if there is one; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// This card.
    Cuda(usize),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match s.strip_prefix("cuda:").and_then(|n| n.parse::<u16>().ok()) {
                Some(n) => Ok(Self::Cuda(usize::from(n))),
                None => Err("expected auto, cpu, cuda or cuda:N with the number of a card".to_owned()),
            },
        }
    }
}

/// The choice, and the card once it was opened.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    choice: Choice,
    card: OnceLock<Result<Cuda, CudaError>>,
}

impl Devices {
    pub(crate) fn new(choice: Choice) -> Self {
        Self { choice, card: OnceLock::new() }
    }

    /// What was asked for.
    pub(crate) fn choice(&self) -> Choice {
        self.choice
    }

    fn open(&self, ordinal: usize) -> &Result<Cuda, CudaError> {
        self.card.get_or_init(|| Cuda::open(ordinal))
    }

    /// The card that work of `leaves` leaves of a lookup tree and `entries` committed values runs on, or `None` for the
    /// processor.
    ///
    /// # Errors
    /// A card was asked for, and there is none that can do it.
    pub(crate) fn card(&self, app: &App, leaves: usize, entries: usize) -> Outcome<Option<&Cuda>> {
        let needed = assay_prover::device::cuda::forecast(leaves, entries);
        let asked = match self.choice {
            Choice::Cpu => return Ok(None),
            Choice::Auto if leaves.max(entries) < WORTHWHILE => return Ok(None),
            Choice::Auto => None,
            Choice::Cuda(ordinal) => Some(ordinal),
        };
        let opened = self.open(asked.unwrap_or(0)).as_ref();
        let checked = opened.map_err(Clone::clone).and_then(|card| Ok((card, card.info()?.free)));
        match (checked, asked) {
            (Ok((card, free)), _) if needed <= free => Ok(Some(card)),
            (Ok((_, free)), _) => {
                app.output.warn(format!(
                    "the card has {} of memory free and this work needs about {}: it runs on the processor",
                    bytes(free as u64),
                    bytes(needed as u64)
                ));
                Ok(None)
            }
            (Err(e), Some(_)) => Err(Failure::new(e.to_string()).help(help(&e))),
            (Err(CudaError::NoDriver(_) | CudaError::NoDevice { .. }), None) => Ok(None),
            (Err(e), None) => {
                app.output.warn(format!("{e}: the processor does the work"));
                Ok(None)
            }
        }
    }

    /// The card that was asked for, or the first one, and what it is.
    ///
    /// # Errors
    /// There is none, or it cannot run the kernels.
    pub(crate) fn named(&self) -> Outcome<(&Cuda, String)> {
        let card = self.examine().and_then(|card| Ok((card, card.info()?)));
        let (card, info) = card.map_err(|e| Failure::new(e.to_string()).help(help(&e)))?;
        Ok((card, format!("{}, compute capability {}.{}", info.name, info.capability.0, info.capability.1)))
    }

    /// What `doctor` says of the first card, or of the one that was asked for.
    pub(crate) fn examine(&self) -> Result<&Cuda, CudaError> {
        let ordinal = if let Choice::Cuda(ordinal) = self.choice { ordinal } else { 0 };
        self.open(ordinal).as_ref().map_err(Clone::clone)
    }
}

fn help(e: &CudaError) -> &'static str {
    match e {
        CudaError::NoDriver(_) => "install NVIDIA's driver, or leave out --device: the processor proves the same",
        CudaError::NoDevice { .. } => "name a card that is there, as cuda:0, or leave out --device",
        _ => "see assay doctor, or use --device cpu",
    }
}

/// Says that the processor takes over.
pub(crate) fn announce(app: &App, failure: &DeviceFailure) {
    app.output.warn(format!("{failure}: starting again on the processor"));
}

/// Says that a library is not used any more.
pub(crate) fn announce_trouble(app: &App, cpu: &Cpu) {
    if let Some(library) = cpu.icicle()
        && let Some(what) = library.trouble()
    {
        app.output.warn(format!("ASSAY_ICICLE: {}: {what}; its products are computed here", library.path().display()));
    }
}

/// Runs an expression with the device for it, `$device`; a card that fails on the way leaves the work to the processor.
macro_rules! on_device {
    ($app:expr, $card:expr, |$device:ident| $work:expr) => {{
        let cpu = ::assay_prover::device::Cpu::default();
        let card: Option<&::assay_prover::device::cuda::Cuda> = $card;
        let tried = card.map(|$device| ::assay_prover::device::cuda::recovering(|| $work));
        match tried {
            Some(Ok(out)) => out,
            failed => {
                if let Some(Err(failure)) = failed {
                    $crate::device::announce($app, &failure);
                }
                let $device = &cpu;
                let out = $work;
                $crate::device::announce_trouble($app, $device);
                out
            }
        }
    }};
}
pub(crate) use on_device;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read() {
        assert_eq!("auto".parse(), Ok(Choice::Auto));
        assert_eq!("cpu".parse(), Ok(Choice::Cpu));
        assert_eq!("cuda".parse(), Ok(Choice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(Choice::Cuda(3)));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:70000", "CPU"] {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }
}
