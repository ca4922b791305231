//! A client that is no worker of ours: it writes into a farm whatever it likes.

use async_nats::jetstream::{self, Context};
use serde_json::Value;
use std::future::Future;

pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    context: Context,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let context = runtime.block_on(async { jetstream::new(async_nats::connect(url).await.unwrap()) });
        Self { runtime, context }
    }

    fn wait<T>(&self, f: impl Future<Output = T>) -> T {
        self.runtime.block_on(f)
    }

    /// The record of the only job.
    pub(crate) fn record(&self, job: &str) -> Value {
        let subject = format!("assay.main.job.{}", job.trim_start_matches("0x"));
        self.wait(async {
            let stream = self.context.get_stream("ASSAY_main_JOBS").await.unwrap();
            let message = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
            serde_json::from_slice(&message.payload).unwrap()
        })
    }

    /// Writes anything at any subject.
    pub(crate) fn publish(&self, subject: &str, bytes: Vec<u8>) {
        let subject = subject.to_owned();
        self.wait(async {
            self.context.publish(subject, bytes.into()).await.unwrap().await.unwrap();
        });
    }

    /// Puts anything under any name into the files.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.wait(async {
            let files = self.context.get_object_store("ASSAY_main_FILES").await.unwrap();
            files.put(name.trim_start_matches("0x"), &mut &*bytes).await.unwrap();
        });
    }

    /// Acknowledges the next message of a queue, as a delivery that is long over would.
    pub(crate) fn steal(&self, queue: &str) -> Value {
        use futures_util::StreamExt;
        self.wait(async {
            let stream = self.context.get_stream("ASSAY_main_QUEUE").await.unwrap();
            let consumer: jetstream::consumer::PullConsumer = stream.get_consumer(queue).await.unwrap();
            let mut batch = consumer.batch().max_messages(1).messages().await.unwrap();
            let message = batch.next().await.unwrap().unwrap();
            message.double_ack().await.unwrap();
            serde_json::from_slice(&message.payload).unwrap()
        })
    }
}
