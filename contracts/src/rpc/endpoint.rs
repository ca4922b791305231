//! The address of a node, and how it is shown: paths, queries and user information hold credentials and are left out.

use crate::Error;
use reqwest::Url;
use std::fmt;

/// An `http` or `https` address.
#[derive(Clone)]
pub(super) struct Endpoint {
    url: Url,
    shown: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let url: Url = text.trim().parse().map_err(|e| Error::Url(format!("{e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Url("only http and https are spoken".to_owned()));
        }
        let host = url.host_str().ok_or_else(|| Error::Url("it names no host".to_owned()))?;
        let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
        let rest = if url.path().len() > 1 || url.query().is_some() { "/..." } else { "" };
        let shown = format!("{}://{host}{port}{rest}", url.scheme());
        Ok(Self { url, shown })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What lies under a name there. A query stays, as it may be a credential.
    pub(super) fn file(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        url.set_fragment(None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(name);
        }
        url
    }

    /// Without anything secret.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// On this machine: proxies are passed by.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        for text in [
            "https://host.example/v3/0123456789abcdef",
            "https://user:0123456789abcdef@host.example",
            "https://0123456789abcdef@host.example/",
            "https://host.example?key=0123456789abcdef",
            "https://host.example/#0123456789abcdef",
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert!(endpoint.shown().starts_with("https://host.example"), "{}", endpoint.shown());
            assert!(!format!("{endpoint:?}").contains("0123456789abcdef"), "{endpoint:?}");
        }
        assert_eq!(Endpoint::parse("http://127.0.0.1:8545").expect("a url").shown(), "http://127.0.0.1:8545");
    }

    #[test]
    fn what_is_no_address_is_said_so_without_repeating_it() {
        for text in
            ["", "host", "ws://host", "ftp://0123456789abcdef@host", "http://", "http://:0123456789abcdef@/", "/path"]
        {
            let e = Endpoint::parse(text).expect_err(text).to_string();
            assert!(e.starts_with("not the address of a node") && !e.contains("0123456789abcdef"), "{e}");
        }
    }

    #[test]
    fn files_lie_below_the_path() {
        for (folder, file) in [
            ("http://host.example", "http://host.example/a.stack"),
            ("http://host.example/in/", "http://host.example/in/a.stack"),
            ("http://user:word@host.example/in?key=1#x", "http://user:word@host.example/in/a.stack?key=1"),
        ] {
            assert_eq!(Endpoint::parse(folder).expect(folder).file("a.stack").as_str(), file);
        }
        let inside = Endpoint::parse("http://host.example/in").expect("a url").file("../a/b");
        assert_eq!(inside.as_str(), "http://host.example/in/..%2Fa%2Fb", "no name leaves the folder");
    }

    #[test]
    fn loopback() {
        for (text, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://127.0.0.1.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Endpoint::parse(text).expect(text).is_loopback(), local, "{text}");
        }
    }
}
