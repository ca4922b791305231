//! A server of files: `PUT` stores, `GET` gives back.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let server = this.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        this
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

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let mut state = self.state.lock().unwrap();
        let (status, answer) = match (state.status, method) {
            (Some(status), _) => (status, vec![]),
            (None, "PUT") => {
                state.files.insert(path, body);
                (201, vec![])
            }
            (None, _) => state.files.get(&path).map_or((404, vec![]), |f| (200, f.clone())),
        };
        drop(state);
        let head =
            format!("HTTP/1.1 {status} so it is\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        let mut stream = stream;
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer));
    }
}
