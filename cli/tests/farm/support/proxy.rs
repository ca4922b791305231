//! A network: it passes bytes on, late or not at all.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A port of this machine, for as long as the test runs.
#[derive(Clone)]
pub(crate) struct Proxy {
    port: u16,
    upstream: Arc<Mutex<String>>,
    delay: Arc<AtomicU64>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn new(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            upstream: Arc::default(),
            delay: Arc::default(),
            open: Arc::default(),
        };
        this.upstream(upstream);
        let server = this.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Nothing is cut between the connection and its place among those that can be.
                let mut open = server.open.lock().unwrap();
                let host = server.upstream.lock().unwrap().clone();
                let Ok(to) = TcpStream::connect(host) else { continue };
                open.extend([&stream, &to].map(|s| s.try_clone().unwrap()));
                drop(open);
                for (from, to) in [(&stream, &to), (&to, &stream)] {
                    let (from, to, delay) =
                        (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&server.delay));
                    thread::spawn(move || pass(from, to, &delay));
                }
            }
        });
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The server behind it; empty if there is none. What is open breaks.
    pub(crate) fn upstream(&self, url: &str) {
        *self.upstream.lock().unwrap() = url.trim_start_matches("nats://").to_owned();
        self.cut();
    }

    /// Breaks every connection.
    pub(crate) fn cut(&self) {
        for s in self.open.lock().unwrap().drain(..) {
            let _ = s.shutdown(Shutdown::Both);
        }
    }

    /// How late everything comes, in each direction.
    pub(crate) fn delay(&self, by: Duration) {
        self.delay.store(by.as_millis() as u64, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let mut part = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut part) {
        thread::sleep(Duration::from_millis(delay.load(Ordering::Relaxed)));
        if to.write_all(&part[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
