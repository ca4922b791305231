//! Workers, keeper and server are killed at random: every job is done, once, and none is lost.
//!
//! The suite does it a few times; all of it is `ASSAY_FARM_KILLS=200 cargo test --workspace --all-features --test farm kills`.

use crate::support::{Farm, PATIENCE, Running, nats};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    thread,
    time::{Duration, Instant},
};

#[test]
fn nothing_is_lost() {
    if !nats() {
        return;
    }
    let kills: u32 = std::env::var("ASSAY_FARM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let seed = std::env::var("ASSAY_FARM_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    let jobs = 4 + kills as usize / 4;
    // Nobody's attempts run out by our hand.
    let mut farm = Farm::new("kills", &["--lease", "1s", "--tries", "100"]);
    farm.send(jobs);
    let mut number = 0;
    let mut start = |farm: &Farm| -> Running {
        number += 1;
        farm.worker(&format!("w{number}"), &["--jobs", "1000"])
    };
    let mut workers = [start(&farm), start(&farm)];
    for n in 0..kills {
        thread::sleep(Duration::from_millis(random.gen_range(0..700)));
        match random.gen_range(0..4) {
            0 => {
                farm.kill();
                farm.again();
            }
            _ => {
                let at = random.gen_range(0..workers.len());
                workers[at].kill();
                workers[at] = start(&farm);
            }
        }
        println!("{} of {kills} kills", n + 1);
    }
    let begun = Instant::now();
    loop {
        let status = farm.status();
        assert_eq!(status["failed"], 0, "{status:#}");
        if status["accepted"] == jobs {
            break;
        }
        assert!(begun.elapsed() < PATIENCE * 2, "{status:#}");
        thread::sleep(Duration::from_millis(200));
    }
    let all = farm.collect(jobs);
    assert_eq!((&all["accepted"], &all["known"]), (&jobs.into(), &jobs.into()));
    farm.check(jobs);
}
