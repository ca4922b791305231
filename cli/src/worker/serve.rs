//! The verifiers that this machine proves for: those of its models that are registered, also later, and have not ended.

use super::{Timer, Trouble, policy::Pace, record::State};
use crate::{
    App,
    cmd::worker::WorkerArgs,
    economy::{
        System,
        work::{Offered, Served},
    },
    error::{Failure, Outcome},
    flow,
};
use assay_contracts::{B256, Error, is_development};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// How often the registry is looked at.
const EVERY: Duration = Duration::from_secs(8);

/// A verifier with its prover and its pace.
pub(super) struct Station {
    pub(super) served: Served,
    pub(super) pace: Pace,
    /// Its key may release rewards.
    pub(super) active: bool,
}

impl Station {
    pub(super) fn described(&self) -> Value {
        json!({
            "verifier_id": self.served.verifier_id.to_string(),
            "batch": self.served.batch(),
            "confidential": self.served.is_confidential(),
            "seconds_bound": self.pace.bound(),
        })
    }
}

/// All of them.
pub(super) struct Bench {
    models: Vec<(PathBuf, [u8; 32], Offered)>,
    stations: Vec<Station>,
    /// Entries that were looked at, served or not.
    seen: BTreeSet<B256>,
    count: u64,
    timer: Timer,
}

impl Bench {
    /// Makes provers for what is registered now.
    pub(super) fn new(app: &App, args: &WorkerArgs, system: &mut System, known: &State) -> Outcome<Self> {
        let mut models = Vec::new();
        for path in &args.models {
            let model = flow::load_model(app, path, &args.quant, false)?.model;
            models.push((path.clone(), model.model_id()?, Offered::plain(&model)?));
            if args.inbox.is_some() {
                match Offered::confidential(&model) {
                    Ok(o) => models.push((path.clone(), o.model().model_id()?, o)),
                    Err(f) => app.output.warn(format!("'{}' does no confidential jobs: {f}", path.display())),
                }
            }
        }
        let mut this = Self { models, stations: Vec::new(), seen: BTreeSet::new(), count: 0, timer: Timer::new() };
        let why = this.add(app, args, system)?;
        if this.stations.is_empty() {
            return Err(why.unwrap_or_else(|| {
                Failure::new("no verifier of these models is registered here")
                    .help("register one: assay model register MODEL. A model must be the same file: ONNX models are quantized anew, so \
                           pass the same --calibrate and widths, or a compiled model")
            }));
        }
        for station in &mut this.stations {
            if let Some(seconds) = known.seconds.get(&station.served.verifier_id) {
                station.pace.measure(*seconds);
            }
        }
        Ok(this)
    }

    /// Looks now and then for verifiers that were added, and for ended ones.
    pub(super) fn refresh(&mut self, app: &App, args: &WorkerArgs, system: &mut System) -> Result<(), Trouble> {
        if !self.timer.rings(EVERY) {
            return Ok(());
        }
        let registry = system.at.registry();
        for station in &mut self.stations {
            station.active = registry.is_active(system.chain.as_mut(), station.served.verifier_id)?;
        }
        if registry.count(system.chain.as_mut())? != self.count {
            self.add(app, args, system)?;
        }
        Ok(())
    }

    /// Makes provers for entries that were not seen before; gives why the last one could not be made.
    fn add(&mut self, app: &App, args: &WorkerArgs, system: &mut System) -> Result<Option<Failure>, Error> {
        let registry = system.at.registry();
        let count = registry.count(system.chain.as_mut())?;
        let entries = registry.entries(system.chain.as_mut())?;
        let mut why = None;
        for (id, entry) in entries {
            if self.seen.contains(&id) {
                continue;
            }
            let active = registry.is_active(system.chain.as_mut(), id)?;
            self.seen.insert(id);
            let Some((path, _, offered)) = self.models.iter().find(|(_, m, _)| entry.modelId.0 == *m) else { continue };
            if !active {
                continue;
            }
            let made = Served::new(app, offered.clone(), id, entry, &args.key).and_then(|served| {
                let development = is_development(&served.prepared.prover.key.descriptor.to_bytes());
                args.economy.chain.guard(system.chain.as_ref(), development)?;
                let pace = Pace::of(app, &served)?;
                Ok(Station { served, pace, active: true })
            });
            match made {
                Ok(station) => {
                    app.output.event("serving", station.described());
                    self.stations.push(station);
                }
                Err(f) => {
                    app.output.warn(format!("verifier {id} of '{}' is not served: {f}", path.display()));
                    why = Some(f);
                }
            }
        }
        // Behind all of it: what could not be asked is asked again.
        self.count = count;
        Ok(why)
    }

    pub(super) fn served(&self) -> &[Station] {
        &self.stations
    }

    pub(super) fn of(&self, verifier: B256) -> Option<&Station> {
        self.stations.iter().find(|s| s.served.verifier_id == verifier)
    }

    pub(super) fn of_mut(&mut self, verifier: B256) -> Option<&mut Station> {
        self.stations.iter_mut().find(|s| s.served.verifier_id == verifier)
    }
}
