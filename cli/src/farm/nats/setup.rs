//! What a farm is on a server: four streams, and one consumer for each queue. Making it again changes nothing but its terms.
//!
//! | stream | subjects | kept |
//! |---|---|---|
//! | `ASSAY_name_TERMS` | `assay.name.terms`, `assay.name.drain` | the last message of each |
//! | `ASSAY_name_JOBS` | `assay.name.job.ID`: the job's record | the last message of each |
//! | `ASSAY_name_QUEUE` | `assay.name.queue.{core,settled,check}`: notes | until they are acknowledged |
//! | `OBJ_ASSAY_name_FILES` | an object store | models, keys, inputs and proofs, by hash |

use super::{
    super::backend::{Lane, Result, Terms, Trouble},
    trouble,
};
use async_nats::jetstream::{
    Context,
    consumer::{AckPolicy, pull},
    object_store::{self, ObjectStore},
    stream::{Config, RetentionPolicy, StorageType, Stream},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Of what is written into streams; raised with every change that older versions cannot read.
const FORMAT: &str = "assay.farm.v1";

/// How long the server remembers a note that was sent, to leave out a second one.
const REMEMBERED: Duration = Duration::from_secs(120);

/// What a farm is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) terms: Terms,
    /// How long files, records and notes are kept.
    pub(crate) keep: Duration,
}

/// The terms, as they are written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    lease_millis: u64,
    tries: u32,
}

/// The parts of a farm.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) terms: Terms,
    pub(super) settings: Stream,
    pub(super) jobs: Stream,
    pub(super) files: ObjectStore,
    pub(super) queues: [async_nats::jetstream::consumer::Consumer<pull::Config>; 3],
}

/// Names on the server.
#[derive(Clone, Debug)]
pub(super) struct Names {
    farm: String,
}

impl Names {
    pub(super) fn new(farm: &str) -> Self {
        Self { farm: farm.to_owned() }
    }

    fn stream(&self, what: &str) -> String {
        format!("ASSAY_{}_{what}", self.farm)
    }

    pub(super) fn subject(&self, what: &str) -> String {
        format!("assay.{}.{what}", self.farm)
    }

    pub(super) fn lane(&self, lane: Lane) -> String {
        self.subject(&format!("queue.{}", lane.name()))
    }
}

fn jetstream(e: &dyn std::error::Error) -> Trouble {
    trouble::by_text(trouble::text(e))
}

/// Makes a farm, or changes the terms of the one that is there.
pub(super) async fn make(context: &Context, names: &Names, plan: &Plan) -> Result<Parts> {
    let last = |what: &str, subjects: Vec<String>, age: Duration| Config {
        name: names.stream(what),
        subjects,
        max_messages_per_subject: 1,
        max_age: age,
        storage: StorageType::File,
        allow_direct: true,
        ..Config::default()
    };
    let queue = Config {
        name: names.stream("QUEUE"),
        subjects: vec![names.subject("queue.*")],
        retention: RetentionPolicy::WorkQueue,
        max_age: plan.keep,
        duplicate_window: REMEMBERED.min(plan.keep),
        storage: StorageType::File,
        ..Config::default()
    };
    let settings = last("TERMS", vec![names.subject("terms"), names.subject("drain")], Duration::ZERO);
    let jobs = last("JOBS", vec![names.subject("job.*")], plan.keep);
    for config in [settings, jobs, queue] {
        context.create_or_update_stream(config).await.map_err(|e| jetstream(&e))?;
    }
    let bucket = names.stream("FILES");
    if context.get_object_store(&bucket).await.is_err() {
        let config =
            object_store::Config { bucket, max_age: plan.keep, storage: StorageType::File, ..Default::default() };
        context.create_object_store(config).await.map_err(|e| jetstream(&e))?;
    }
    let stream = context.get_stream(names.stream("QUEUE")).await.map_err(|e| jetstream(&e))?;
    for lane in Lane::ALL {
        let config = pull::Config {
            durable_name: Some(lane.name().to_owned()),
            filter_subject: names.lane(lane),
            ack_policy: AckPolicy::Explicit,
            ack_wait: plan.terms.lease,
            // Attempts are counted in the record. A server that counts them would keep a message that it never delivers again,
            // and count it nowhere.
            max_deliver: -1,
            max_ack_pending: 100_000,
            ..Default::default()
        };
        stream.create_consumer(config).await.map_err(|e| jetstream(&e))?;
    }
    let written = Written {
        format: FORMAT.to_owned(),
        lease_millis: u64::try_from(plan.terms.lease.as_millis()).unwrap_or(u64::MAX),
        tries: plan.terms.tries,
    };
    let bytes = serde_json::to_vec(&written).map_err(|e| Trouble::Bad(e.to_string()))?;
    let sent = context.publish(names.subject("terms"), bytes.into()).await.map_err(|e| jetstream(&e))?;
    sent.await.map_err(|e| jetstream(&e))?;
    open(context, names).await
}

/// The farm that is there.
pub(super) async fn open(context: &Context, names: &Names) -> Result<Parts> {
    let stream = async |what: &str| context.get_stream(names.stream(what)).await.map_err(|e| jetstream(&e));
    let settings = stream("TERMS").await?;
    let message = settings.direct_get_last_for_subject(names.subject("terms")).await;
    let message = message.map_err(|e| Trouble::Away(trouble::text(&e)))?;
    let bad = |e: &dyn std::fmt::Display| Trouble::Bad(format!("the farm's terms cannot be read: {e}"));
    let written: Written = serde_json::from_slice(&message.payload).map_err(|e| bad(&e))?;
    if written.format != FORMAT {
        let text = format!("its format is '{}'; expected '{FORMAT}'", super::super::record::cut(&written.format, 40));
        return Err(bad(&text));
    }
    let terms = Terms {
        lease: Duration::from_millis(written.lease_millis.clamp(100, 86_400_000)),
        tries: written.tries.max(1),
    };
    let jobs = stream("JOBS").await?;
    let queue = stream("QUEUE").await?;
    let files = context.get_object_store(names.stream("FILES")).await.map_err(|e| jetstream(&e))?;
    let consumer = async |lane: Lane| {
        queue.get_consumer(lane.name()).await.map_err(|e| Trouble::Away(super::super::record::cut(&e.to_string(), 300)))
    };
    let queues = [consumer(Lane::Core).await?, consumer(Lane::Settled).await?, consumer(Lane::Check).await?];
    Ok(Parts { terms, settings, jobs, files, queues })
}
