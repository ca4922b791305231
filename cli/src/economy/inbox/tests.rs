use super::*;
use assay_circuits::stack::SchemaTensor;
use assay_prover::{
    Blinding,
    device::Cpu,
    srs::{DEVELOPMENT_SEED, Srs},
};
use std::sync::OnceLock;

const PADS: std::ops::Range<usize> = 1..2;

fn srs() -> &'static Srs {
    static SRS: OnceLock<Srs> = OnceLock::new();
    SRS.get_or_init(|| Srs::development(9, DEVELOPMENT_SEED).unwrap())
}

fn schema(pad: usize) -> Schema {
    let tensor = |name: &str, n: usize, bits| SchemaTensor { name: name.to_owned(), shape: vec![1, n], bits };
    Schema::new(8, vec![tensor("x", 4, 8), tensor("pad", pad, 17)]).unwrap()
}

fn stack(x: i64, pad: i64, n: usize, blinding: Blinding) -> Stack {
    let values = vec![
        Tensor::new(vec![1, 4], vec![x; 4]).unwrap(),
        Tensor::new(vec![1, n], (0..n as i64).map(|i| pad + i).collect()).unwrap(),
    ];
    Stack::commit(&Cpu::default(), &schema(n), values, srs(), blinding).unwrap()
}

fn id(s: &Stack) -> B256 {
    s.id().unwrap().into()
}

fn check(s: &Stack) -> Result<(), String> {
    s.check(&Cpu::default(), srs()).map_err(|e| e.to_string())
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("assay-inbox-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(folder: &Path) -> Location {
    folder.to_str().unwrap().parse().unwrap()
}

fn bad(found: Result<Stack, Missing>, word: &str) {
    match found {
        Err(Missing::Bad(why)) => assert!(why.contains(word), "'{why}' does not say '{word}'"),
        other => panic!("{:?} instead of '{word}'", other.map(|_| "a stack")),
    }
}

#[test]
fn what_was_checked_is_what_is_proven() {
    let folder = Folder::new("held");
    let mut inbox = Inbox::new(Some(&at(&folder.0))).unwrap();
    let s = stack(1, 5, 10, Blinding::Random);
    assert_eq!(inbox.open(id(&s), s.schema(), PADS, check), Err(Missing::Absent));
    let file = write(&folder.0, &s).unwrap();
    assert_eq!(inbox.open(id(&s), s.schema(), PADS, check).unwrap(), s);
    // Whatever becomes of the file: it is not read again.
    std::fs::write(&file, b"other").unwrap();
    assert_eq!(inbox.open(id(&s), s.schema(), PADS, |_| panic!("checked twice")).unwrap(), s);
    bad(inbox.open(id(&s), &schema(11), PADS, check), "another model");
    // But after many others.
    for x in 0..HELD as i64 {
        let other = stack(x, 100 * x + 50, 10, Blinding::Random);
        write(&folder.0, &other).unwrap();
        inbox.open(id(&other), other.schema(), PADS, |_| Ok(())).unwrap();
    }
    bad(inbox.open(id(&s), s.schema(), PADS, check), "ASSAYSTK");
    assert!(Inbox::new(Some(&at(&file))).is_err() && Inbox::new(None).is_ok());
}

#[test]
fn bad_files_give_one_error_and_are_not_read_again() {
    let folder = Folder::new("bad");
    let mut inbox = Inbox::new(Some(&at(&folder.0))).unwrap();
    let (s, other) = (stack(1, 5, 10, Blinding::Random), stack(2, 7, 10, Blinding::Random));
    let file = path(&folder.0, id(&s));
    let good = s.to_bytes().unwrap();
    // Every cut and every flip, and none of the messages shows a value.
    for n in (0..good.len()).step_by(7) {
        bad(parse(&good[..n], id(&s), s.schema()).map_err(Missing::Bad), "");
        let mut flipped = good.clone();
        flipped[n] ^= 1;
        bad(parse(&flipped, id(&s), s.schema()).map_err(Missing::Bad), "");
    }
    let mut huge = good.clone();
    huge.resize(OVERHEAD + (1 << 20), 7);
    let public = stack(1, 5, 10, Blinding::Public);
    let wider = stack(1, 5, 11, Blinding::Random);
    for (bytes, word) in [
        (huge, "at most"),
        (other.to_bytes().unwrap(), "is of the stack"),
        (wider.to_bytes().unwrap(), "other tensors"),
        (public.to_bytes().unwrap(), "is of the stack"),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        bad(inbox.open(id(&s), s.schema(), PADS, check), word);
        bad(inbox.open(id(&s), s.schema(), PADS, |_| panic!("read again")), word);
    }
    write(&folder.0, &public).unwrap();
    bad(inbox.open(id(&public), public.schema(), PADS, check), "not blinded");
    // Not commitments: as a check says. The file is as long as the last one, and may be written within the same tick.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(inbox.open(id(&s), s.schema(), PADS, check), Err(Missing::Absent));
    std::fs::write(&file, &good).unwrap();
    bad(inbox.open(id(&s), s.schema(), PADS, |_| Err("row 0".to_owned())), "row 0");
    // It changes, and is good.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    bad(inbox.open(id(&s), s.schema(), PADS, check), "no regular file");
    std::fs::remove_dir(&file).unwrap();
    write(&folder.0, &s).unwrap();
    assert_eq!(inbox.open(id(&s), s.schema(), PADS, check).unwrap(), s);
}

/// A pad masks one output. Small ones may be equal by chance, and are no secret from whoever tries them all.
#[test]
fn a_reused_pad_is_refused() {
    let folder = Folder::new("pads");
    let mut inbox = Inbox::new(Some(&at(&folder.0))).unwrap();
    let mut open = |s: &Stack| {
        write(&folder.0, s).unwrap();
        inbox.open(id(s), s.schema(), PADS, check)
    };
    let first = stack(1, 5, 10, Blinding::Random);
    open(&first).unwrap();
    bad(open(&stack(2, 5, 10, Blinding::Random)), "used once");
    bad(open(&stack(1, 5, 10, Blinding::Random)), "used once");
    open(&stack(2, 6, 10, Blinding::Random)).unwrap();
    open(&first).unwrap();
    open(&stack(1, 5, 2, Blinding::Random)).unwrap();
    open(&stack(2, 5, 2, Blinding::Random)).unwrap();
}

#[cfg(unix)]
#[test]
fn openings_are_for_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let file = write(&folder.0, &stack(1, 5, 10, Blinding::Random)).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
}

/// What a worker has leased for stays, after a restart too, until its job is over.
#[test]
fn kept_openings_outlive_their_inbox() {
    let (folder, mine) = (Folder::new("kept"), Folder::new("kept-mine"));
    let own = mine.0.join("openings");
    let open = |inbox: &mut Inbox, s: &Stack| inbox.open(id(s), s.schema(), PADS, check);
    let (s, other) = (stack(1, 5, 10, Blinding::Random), stack(2, 50, 10, Blinding::Random));
    let new = |idle| Inbox::keeping(Some(&at(&folder.0)), own.clone(), idle).unwrap();
    let mut inbox = new(true);
    for s in [&s, &other] {
        let file = write(&folder.0, s).unwrap();
        open(&mut inbox, s).unwrap();
        std::fs::remove_file(file).unwrap();
    }
    inbox.keep(7, id(&s)).unwrap();
    // A restart, with the job in the journal.
    let mut inbox = new(false);
    assert_eq!(open(&mut inbox, &s).unwrap(), s);
    assert_eq!(open(&mut inbox, &other), Err(Missing::Absent), "no lease, nothing kept");
    inbox.keep(7, id(&s)).unwrap();
    inbox.forget(&[8]);
    assert!(path(&own, id(&s)).exists());
    inbox.forget(&[7]);
    assert!(!path(&own, id(&s)).exists());
    // Its pad is used for good.
    let mut inbox = new(true);
    let again = stack(3, 5, 10, Blinding::Random);
    write(&folder.0, &again).unwrap();
    bad(open(&mut inbox, &again), "used once");
    // What is kept is checked like what comes, and goes when nothing needs it.
    write(&folder.0, &s).unwrap();
    open(&mut inbox, &s).unwrap();
    inbox.keep(9, id(&s)).unwrap();
    std::fs::remove_file(path(&folder.0, id(&s))).unwrap();
    std::fs::write(path(&own, id(&s)), b"damaged").unwrap();
    assert_eq!(open(&mut new(false), &s), Err(Missing::Absent));
    new(true);
    assert!(!path(&own, id(&s)).exists());
}

#[test]
fn addresses_are_told_from_folders() {
    for (text, web) in [("https://host.example/x", true), ("HTTP://127.0.0.1:1", true), ("http", false), ("a/b", false)]
    {
        assert_eq!(matches!(text.parse(), Ok(Location::Web(_))), web, "{text}");
    }
    let clear = "http://host.example/0123456789abcdef".parse::<Location>().unwrap();
    let e = Inbox::new(Some(&clear)).unwrap_err();
    assert!(e.message.contains("neither encrypted") && !e.message.contains("0123456789abcdef"), "{e}");
    assert!(!format!("{clear:?}").contains("0123456789abcdef"));
    assert!("".parse::<Location>().is_err());
}
