//! A process that is asked to end (Ctrl+C, SIGTERM) ends by itself where it has something to give back.

use crate::error::{Failure, Outcome};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Becomes true when the process is asked to end. When it is asked again, it ends at once.
#[cfg(unix)]
pub(crate) fn ending() -> Outcome<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let ending = Arc::new(AtomicBool::new(false));
    let of_thread = Arc::clone(&ending);
    let cannot = |e: &dyn std::fmt::Display| {
        Failure::new(format!("cannot listen for signals: {e}"))
            .help("raise the limit on processes or open files (ulimit)")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| cannot(&e))?;
    let listen = |kind| {
        let _inside = runtime.enter();
        signal(kind)
    };
    let (mut first, mut second) = (
        listen(SignalKind::terminate()).map_err(|e| cannot(&e))?,
        listen(SignalKind::interrupt()).map_err(|e| cannot(&e))?,
    );
    let work = move || {
        runtime.block_on(async {
            for number in 0..2 {
                let (a, b) = (std::pin::pin!(first.recv()), std::pin::pin!(second.recv()));
                futures_util::future::select(a, b).await;
                if number > 0 {
                    std::process::exit(2);
                }
                of_thread.store(true, Ordering::Relaxed);
            }
        });
    };
    std::thread::Builder::new().name("assay-signals".to_owned()).spawn(work).map_err(|e| cannot(&e))?;
    Ok(ending)
}

/// Elsewhere the process ends at once.
#[cfg(not(unix))]
pub(crate) fn ending() -> Outcome<Arc<AtomicBool>> {
    Ok(Arc::new(AtomicBool::new(false)))
}
