//! Reading and writing files: limits, kinds, and writes that either happen or do not.

use crate::error::{Failure, Outcome};
use assay_circuits::model::Model;
use assay_verifier::core::hex;
use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Key,
    Proof,
    SettlementKey,
    SettledProof,
    Srs,
    /// Keys of all segments of a split model.
    SegmentKeys,
    /// Proofs of all segments of a split model.
    SegmentProofs,
    /// Tensors that were committed apart.
    Stack,
    Ptau,
    /// Begins as ONNX files do: they have no magic bytes, but their first field is the version of the format.
    Onnx,
    /// A JSON text.
    Json,
    /// An array of NumPy's.
    Npy,
    /// A ZIP archive, as NumPy's `.npz` files are.
    Npz,
    /// Nothing at all.
    Empty,
    /// None of these; perhaps an unusual ONNX file.
    Other,
}

impl Kind {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes.get(..8) {
            Some(b"ASSAYMOD") => Self::Model,
            Some(b"ASSAYKEY") => Self::Key,
            // Magic, version, kind.
            Some(b"ASSAYPRF") if bytes.get(10) == Some(&assay_verifier::settle::key::KIND) => Self::SettledProof,
            Some(b"ASSAYPRF") => Self::Proof,
            Some(b"ASSAYSKY") => Self::SettlementKey,
            Some(b"ASSAYSRS") => Self::Srs,
            Some(b"ASSAYSTK") => Self::Stack,
            Some(b"ASSAYSGK") => Self::SegmentKeys,
            Some(b"ASSAYSGP") => Self::SegmentProofs,
            _ if bytes.starts_with(b"ptau") => Self::Ptau,
            _ if bytes.starts_with(b"\x93NUMPY") => Self::Npy,
            _ if bytes.starts_with(b"PK") => Self::Npz,
            _ if bytes.is_empty() => Self::Empty,
            _ if matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) => Self::Json,
            _ if matches!(bytes, [0x08, version, ..] if *version < 0x20) => Self::Onnx,
            _ => Self::Other,
        }
    }

    /// Whether the ONNX reader is to have a look.
    pub(crate) fn may_be_onnx(self) -> bool {
        matches!(self, Self::Onnx | Self::Other | Self::Empty)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Model => "a compiled model",
            Self::Key => "a verifying key",
            Self::Proof => "a core proof",
            Self::SettlementKey => "a settlement key",
            Self::SettledProof => "a settled proof",
            Self::Srs => "powers of tau",
            Self::SegmentKeys => "the keys of a split model",
            Self::SegmentProofs => "the proofs of a split model",
            Self::Stack => "a stack",
            Self::Ptau => "a .ptau ceremony file",
            Self::Onnx => "an ONNX model",
            Self::Json => "JSON",
            Self::Npy => "a NumPy array",
            Self::Npz => "a ZIP or .npz archive",
            Self::Empty => "empty",
            Self::Other => "no file of Assay's",
        }
    }

    fn how_to_make(self) -> &'static str {
        match self {
            Self::Model => "make one: assay compile MODEL.onnx -o FILE",
            Self::Key => "make one: assay setup MODEL -o KEY",
            Self::Proof => "make one: assay prove MODEL INPUT -o PROOF",
            Self::SettlementKey => "make one: assay settle MODEL INPUT -o PROOF --key-out FILE",
            Self::SettledProof => "make one: assay settle MODEL INPUT -o PROOF",
            Self::Srs => {
                "make one: assay srs new --power K -o FILE, or assay srs import CEREMONY.ptau --power K -o FILE"
            }
            Self::SegmentKeys => {
                "make them: assay setup FOLDER -o KEYS, or assay settle FOLDER INPUT -o PROOFS --key-out KEYS"
            }
            Self::SegmentProofs => "make them: assay prove FOLDER INPUT -o PROOFS",
            Self::Stack => "make one: assay stack commit DATA --model MODEL -o FILE",
            Self::Ptau => "ceremony files are published with the perpetual powers of tau",
            Self::Onnx => "export one: torch.onnx.export(model.eval(), example, \"model.onnx\")",
            Self::Json | Self::Npy | Self::Npz | Self::Empty | Self::Other => {
                "see `assay --help` for what takes such a file"
            }
        }
    }
}

/// Largest proof or key file, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// Largest model file or powers of tau, in bytes.
pub(crate) const MAX_LARGE_BYTES: u64 = 1 << 35;
/// Largest input file, in bytes.
pub(crate) const MAX_DATA_BYTES: u64 = 1 << 31;

/// The reason that the system gives, without its error number.
fn reason(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => {
            let text = e.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

pub(crate) fn unreadable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read '{}': {}", path.display(), reason(e))).help(match e.kind() {
        std::io::ErrorKind::NotFound => "check the path; it is relative to the folder that the command runs in",
        std::io::ErrorKind::PermissionDenied => "let this user read it, or copy it to where it can be read",
        _ => "check the disk or the connection to it",
    })
}

fn unwritable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write '{}': {}", path.display(), reason(e)))
        .help("choose a folder where this user may write and that has room left")
}

/// Opens a regular file of at most `limit` bytes.
pub(crate) fn open(path: &Path, limit: u64) -> Outcome<File> {
    let meta = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if meta.is_dir() {
        return Err(Failure::new(format!("cannot read '{}': it is a directory", path.display()))
            .help("name a file inside of it"));
    }
    if meta.len() > limit {
        let got = meta.len();
        return Err(Failure::new(format!(
            "cannot read '{}': it has {got} bytes; at most {limit} are read",
            path.display()
        ))
        .help("no file that assay takes here is that large: is it the right one?"));
    }
    File::open(path).map_err(|e| unreadable(path, &e))
}

/// All bytes of a file.
pub(crate) fn read(path: &Path, limit: u64) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, limit)?.take(limit + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(format!("cannot read '{}': more than {limit} bytes", path.display()))
            .help("no file that assay takes here is that large: is it the right one?"));
    }
    Ok(bytes)
}

/// The first bytes of a file.
pub(crate) fn kind(path: &Path) -> Outcome<Kind> {
    let mut head = Vec::new();
    open(path, u64::MAX)?.take(11).read_to_end(&mut head).map_err(|e| unreadable(path, &e))?;
    Ok(Kind::of(&head))
}

/// All bytes of a file of a given kind.
pub(crate) fn read_kind(path: &Path, expected: Kind) -> Outcome<Vec<u8>> {
    let limit = match expected {
        Kind::Proof
        | Kind::Key
        | Kind::SettlementKey
        | Kind::SettledProof
        | Kind::SegmentKeys
        | Kind::SegmentProofs => MAX_BYTES,
        Kind::Stack => assay_prover::stack::MAX_FILE_BYTES as u64,
        _ => MAX_LARGE_BYTES,
    };
    let got = kind(path)?;
    if got != expected {
        return Err(wrong_kind(path, expected, got));
    }
    read(path, limit)
}

pub(crate) fn wrong_kind(path: &Path, expected: Kind, got: Kind) -> Failure {
    let text = format!("'{}' is {}; expected {}", path.display(), got.name(), expected.name());
    let order = match (expected, got) {
        (Kind::Proof | Kind::SettledProof, Kind::Key | Kind::SettlementKey)
        | (Kind::Key | Kind::SettlementKey, Kind::Proof | Kind::SettledProof) => {
            "are they swapped? assay verify PROOF --key KEY; "
        }
        (Kind::Model | Kind::Onnx, Kind::Json | Kind::Npy | Kind::Npz) => {
            "are they swapped? MODEL comes before INPUT; "
        }
        _ => "",
    };
    Failure::new(text).help(format!("{order}{}", expected.how_to_make()))
}

/// Refuses early to write where nothing can be written, before the work is done.
pub(crate) fn check_target(path: &Path) -> Outcome<()> {
    if path.is_dir() {
        return Err(Failure::new(format!("cannot write '{}': it is a directory", path.display()))
            .help("name a file inside of it"));
    }
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(p) if !p.is_dir() => {
            Err(Failure::new(format!("cannot write '{}': there is no folder '{}'", path.display(), p.display()))
                .help(format!("make it first: mkdir -p '{}'", p.display())))
        }
        _ => Ok(()),
    }
}

/// Writes a file in one step: readers see the old file or the new one, never a part.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    write_with(path, |out| out.write_all(bytes).map_err(|e| unwritable(path, &e)))
}

/// As [`write()`], of a file that nobody but its owner may read: it is created so, not changed afterwards.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    write_as(path, true, replace, |out| out.write_all(bytes).map_err(|e| unwritable(path, &e)))
}

/// As [`write_private`], but a file that is there already stays: of several processes, all read what the first one wrote. On a
/// file system without hard links the last one is read.
pub(crate) fn keep_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    write_as(path, true, keep, |out| out.write_all(bytes).map_err(|e| unwritable(path, &e)))
}

/// Writes a new file that nobody but its owner may read, and never replaces one: `there` says what that would lose.
pub(crate) fn create_private(path: &Path, bytes: &[u8], there: impl Fn(&Path) -> Failure) -> Outcome<()> {
    let mut out = create(path, true).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => there(path),
        _ => unwritable(path, &e),
    })?;
    out.write_all(bytes).and_then(|()| out.sync_all()).map_err(|e| {
        let _ = std::fs::remove_file(path);
        unwritable(path, &e)
    })
}

/// As [`write()`], through a writer.
pub(crate) fn write_with(path: &Path, f: impl FnOnce(&mut (dyn Write + Send)) -> Outcome<()>) -> Outcome<()> {
    write_as(path, false, replace, f)
}

/// As [`write()`], of a compiled model: its length in bytes and its id.
pub(crate) fn write_model(path: &Path, model: &Model) -> Outcome<(usize, String)> {
    let file = model.encode()?;
    let mut id = [0; 32];
    write_with(path, |out| {
        id = file.write(out).map_err(|e| unwritable(path, &e))?;
        Ok(())
    })?;
    Ok((file.size(), hex(&id)))
}

/// A file of which what was flushed is on the disk.
struct Durable(File);

impl Write for Durable {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.sync_all()
    }
}

fn create(path: &Path, private: bool) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    options.open(path)
}

fn replace(part: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(part, path)
}

fn keep(part: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(part, path) {
        Ok(()) => std::fs::remove_file(part),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => std::fs::remove_file(part),
        Err(_) => std::fs::rename(part, path),
    }
}

/// Writes a file beside its place, and puts it there.
fn write_as(
    path: &Path,
    private: bool,
    place: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
    f: impl FnOnce(&mut (dyn Write + Send)) -> Outcome<()>,
) -> Outcome<()> {
    let io = |e: std::io::Error| unwritable(path, &e);
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        // A device or a pipe cannot be replaced, and need not be.
        let mut out = File::create(path).map_err(io)?;
        return f(&mut out);
    }
    check_target(path)?;
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.{}.part", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    let part = path.with_file_name(name);
    let done = (|| {
        let mut out = std::io::BufWriter::new(Durable(create(&part, private).map_err(io)?));
        f(&mut out)?;
        out.flush().map_err(io)?;
        place(&part, path).map_err(io)
    })();
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done
}
