//! A server of files: `PUT` stores, `GET` gives back.

use crate::common::http;
use std::{
    collections::BTreeMap,
    net::TcpStream,
    sync::{Arc, Mutex},
};

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Answered to everything, if something is.
    status: Option<u16>,
}

/// A server on a port of this machine, for as long as the test runs.
#[derive(Clone)]
pub(crate) struct Shelf {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let served = state.clone();
        let port = http::listen(move |stream| serve(&served, stream)).port();
        Self { port, state }
    }

    /// A folder on it, with a password and a key in the address.
    pub(crate) fn url(&self) -> String {
        format!("http://me:password@127.0.0.1:{}/inbox?key=credential", self.port)
    }

    /// From now on all is answered with this status, or nothing is any more.
    pub(crate) fn answer(&self, status: Option<u16>) {
        self.state.lock().unwrap().status = status;
    }

    /// What lies there, by what comes behind the host.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().files.clone()
    }

    pub(crate) fn clear(&self) {
        self.state.lock().unwrap().files.clear();
    }
}

fn serve(state: &Mutex<State>, stream: &TcpStream) -> Option<()> {
    let (first, body) = http::read(stream)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?, words.next()?.to_owned());
    let mut state = state.lock().unwrap();
    let (status, found) = match (state.status, method) {
        (Some(status), _) => (status, vec![]),
        (None, "PUT") => {
            state.files.insert(path, body);
            (201, vec![])
        }
        (None, _) => state.files.get(&path).map_or((404, vec![]), |f| (200, f.clone())),
    };
    drop(state);
    http::answer(stream, status, &found)
}
