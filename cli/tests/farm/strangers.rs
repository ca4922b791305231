//! Whoever has no token gets nowhere, and a farm that others can reach is not started without one.

use crate::support::{Farm, nats};

#[test]
fn a_token_is_asked_for() {
    if !nats() {
        return;
    }
    let s = crate::support::sandbox("open");
    s.fails(2, &["farm", "up", "--listen", "0.0.0.0", "--port", "0"], &["could take jobs", "--token-file"]);
    let token = s.path("token");
    std::fs::write(&token, "a-long-token\n").unwrap();
    let token = crate::support::text(&token);
    let farm = Farm::new("token", &["--token-file", &token]);
    let url = farm.url();
    farm.s.fails(2, &["farm", "status", "--nats", &url], &["--token-file"]);
    farm.s.write("wrong", "another");
    farm.s.fails(2, &["farm", "status", "--nats", &url, "--token-file", "wrong"], &["--token-file"]);
    assert_eq!(farm.s.json(&["farm", "status", "--nats", &url, "--token-file", &token])["queued"], 0);
    farm.s.fails(
        2,
        &["farm", "status", "--nats", &url, "--token-file", &token, "--farm", "other"],
        &["there is no farm 'other'"],
    );
}
