//! The pages of `docs/`: all are in the summary, and every link leads somewhere. That their command lines can be typed is tested where
//! arguments are read (`src/args/tests.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn pages() -> BTreeMap<PathBuf, String> {
    let root = Path::new(ROOT);
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|f| f.unwrap().path());
    let mut all: Vec<PathBuf> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    all.push(root.join("README.md"));
    all.into_iter().map(|p| (p.clone(), std::fs::read_to_string(&p).unwrap())).collect()
}

/// Lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |l| {
        let fence = l.starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// What links point at.
fn links(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let (target, more) = after.split_once(')').unwrap_or((after, ""));
            out.push(target.to_owned());
            rest = more;
        }
    }
    out
}

/// What a heading is called in an address.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let ids = text.split("<a id=\"").skip(1).filter_map(|t| t.split('"').next()).map(str::to_owned);
    let headings = prose(text).filter(|l| l.starts_with('#')).map(|l| slug(l.trim_start_matches('#')));
    ids.chain(headings).collect()
}

#[test]
fn every_page_is_in_the_summary() {
    let root = Path::new(ROOT).join("docs");
    let summary = std::fs::read_to_string(root.join("SUMMARY.md")).unwrap();
    let listed: Vec<String> = links(&summary);
    let there: BTreeSet<String> = pages()
        .keys()
        .filter(|p| p.starts_with(&root))
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|n| n != "SUMMARY.md")
        .collect();
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    // mdBook itself refuses what is listed and not there.
    assert!(there.is_subset(&once), "not in docs/SUMMARY.md: {:?}", there.difference(&once));
    assert_eq!(listed.len(), once.len(), "a page is listed twice");
}

#[test]
fn every_link_leads_somewhere() {
    let all = pages();
    let mut seen = 0;
    for (page, text) in all.iter().filter(|(p, _)| !p.ends_with("SUMMARY.md")) {
        let name = page.display();
        for link in links(text) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            seen += 1;
            // The folder is a site of its own: what lies beside it is named, as code, and not linked.
            let of_site = page.parent().is_some_and(|folder| folder.ends_with("docs"));
            assert!(!of_site || !link.starts_with(".."), "{name}: '{link}' leaves the site");
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(f, a)| (f, Some(a)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{name}: there is no '{link}'");
            let Some(anchor) = anchor else { continue };
            let text = std::fs::read_to_string(&target).unwrap();
            assert!(anchors(&text).contains(anchor), "{name}: there is no place '{link}'");
        }
    }
    assert!(seen > 60, "only {seen} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    assert_eq!(links("a [b](c.md#d) [e](f)\n```\n[g](h)\n```\n"), ["c.md#d", "f"]);
    assert_eq!(slug(" What it holds to, `x`"), "what-it-holds-to-x");
    assert!(anchors("<a id=\"one\"></a>\n## Two three\n").is_superset(&["one", "two-three"].map(str::to_owned).into()));
}
