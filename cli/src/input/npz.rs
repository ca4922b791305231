//! `.npz` archives: `.npy` files in a ZIP file, stored or deflated (`numpy.savez`, `numpy.savez_compressed`).
//!
//! Every size is checked against the bytes at hand, and a deflated entry may not grow beyond what its array needs. A file that two
//! readers could read in two ways is refused: Python's `zipfile` goes by the directory as this reader does, and refuses entries
//! that are called otherwise where they lie, that overlap, or that need features which neither has; of two arrays of one name it
//! takes the last.

use super::{MAX_VALUES, npy};
use crate::error::{Failure, Outcome};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

const END: &[u8; 4] = b"PK\x05\x06";
const ENTRY: &[u8; 4] = b"PK\x01\x02";
const LOCAL: &[u8; 4] = b"PK\x03\x04";
const END_BYTES: usize = 22;
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// Flags of an entry: any encryption, and compressed patch data.
const ENCRYPTED: usize = 1 | 1 << 6;
const PATCHED: usize = 1 << 5;
/// Most arrays in an archive.
const MAX_ENTRIES: usize = 1 << 12;

fn bad(what: &str) -> Failure {
    Failure::new(format!("not a .npz file that can be read: {what}")).help("save it again: numpy.savez(FILE, x=array)")
}

fn u16_at(b: &[u8], at: usize) -> Outcome<usize> {
    let x = b.get(at..at + 2).and_then(|b| b.try_into().ok()).ok_or_else(|| bad("it is cut short"))?;
    Ok(usize::from(u16::from_le_bytes(x)))
}

fn u32_at(b: &[u8], at: usize) -> Outcome<usize> {
    let x = b.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or_else(|| bad("it is cut short"))?;
    Ok(u32::from_le_bytes(x) as usize)
}

fn u64_at(b: &[u8], at: usize) -> Outcome<usize> {
    let x = b.get(at..at + 8).and_then(|b| b.try_into().ok()).ok_or_else(|| bad("it is cut short"))?;
    usize::try_from(u64::from_le_bytes(x)).map_err(|_| bad("a size is too large"))
}

fn slice(b: &[u8], at: usize, n: usize) -> Outcome<&[u8]> {
    at.checked_add(n).and_then(|end| b.get(at..end)).ok_or_else(|| bad("it is cut short"))
}

/// All arrays with their names.
pub(super) fn read(bytes: &[u8]) -> Outcome<Vec<(String, npy::Array)>> {
    let searched = bytes.len().saturating_sub(END_BYTES + (1 << 16));
    let end = (searched..=bytes.len().saturating_sub(END_BYTES))
        .rev()
        .find(|at| {
            bytes.get(*at..at + 4) == Some(END) && u16_at(bytes, at + 20).ok() == Some(bytes.len() - at - END_BYTES)
        })
        .ok_or_else(|| bad("its directory is missing; it is cut short"))?;
    let entries = u16_at(bytes, end + 10)?;
    let mut at = u32_at(bytes, end + 16)?;
    if entries > MAX_ENTRIES {
        return Err(bad(&format!("{entries} entries; at most {MAX_ENTRIES}")));
    }
    let mut out: Vec<(String, npy::Array)> = Vec::with_capacity(entries);
    // Where entries lie, and how far they go.
    let mut taken: Vec<(usize, usize)> = Vec::with_capacity(entries);
    for _ in 0..entries {
        let head = slice(bytes, at, ENTRY_BYTES)?;
        if head.get(..4) != Some(ENTRY) {
            return Err(bad("its directory is damaged"));
        }
        let (name_len, extra_len, comment_len) = (u16_at(head, 28)?, u16_at(head, 30)?, u16_at(head, 32)?);
        let raw_name = slice(bytes, at + ENTRY_BYTES, name_len)?;
        let name = String::from_utf8_lossy(raw_name).into_owned();
        let extra = slice(bytes, at + ENTRY_BYTES + name_len, extra_len)?;
        at += ENTRY_BYTES + name_len + extra_len + comment_len;
        let Some(array) = name.strip_suffix(".npy") else { continue };
        let in_array = |f: Failure| Failure { message: format!("array '{array}': {}", f.message), ..f };
        let found = entry(bytes, head, extra, raw_name).map_err(in_array)?;
        if out.iter().any(|(other, _)| other == array) {
            return Err(bad(&format!("two arrays are called '{array}'")));
        }
        if taken.iter().any(|(start, end)| found.start < *end && *start < found.end) {
            return Err(bad(&format!("the array '{array}' overlaps another one")));
        }
        taken.push((found.start, found.end));
        let values = npy::read(&found.content).map_err(in_array)?;
        out.push((array.to_owned(), values));
    }
    if out.is_empty() {
        return Err(bad("it holds no arrays"));
    }
    Ok(out)
}

/// An entry, and the place that it takes in the file.
struct Entry<'a> {
    content: std::borrow::Cow<'a, [u8]>,
    start: usize,
    end: usize,
}

/// One entry of the directory.
fn entry<'a>(bytes: &'a [u8], head: &[u8], extra: &[u8], name: &[u8]) -> Outcome<Entry<'a>> {
    let flags = u16_at(head, 8)?;
    if flags & ENCRYPTED != 0 {
        return Err(bad("it is encrypted"));
    }
    if flags & PATCHED != 0 {
        return Err(bad("it is a patch of another file"));
    }
    let method = u16_at(head, 10)?;
    let sum = u32_at(head, 16)? as u32;
    let mut sizes = [u32_at(head, 24)?, u32_at(head, 20)?, u32_at(head, 42)?];
    zip64(extra, &mut sizes)?;
    let [size, packed, offset] = sizes;
    let local = slice(bytes, offset, LOCAL_BYTES)?;
    if local.get(..4) != Some(LOCAL) {
        return Err(bad("an entry is not where its directory says"));
    }
    if slice(bytes, offset + LOCAL_BYTES, u16_at(local, 26)?)? != name {
        return Err(bad("an entry has another name where it lies than in the directory"));
    }
    let start = offset + LOCAL_BYTES + u16_at(local, 26)? + u16_at(local, 28)?;
    let raw = slice(bytes, start, packed)?;
    if size as u64 > 8 * MAX_VALUES + (1 << 16) {
        return Err(bad("an entry is too large"));
    }
    let content = match method {
        0 => std::borrow::Cow::Borrowed(raw),
        8 => std::borrow::Cow::Owned(
            decompress_to_vec_with_limit(raw, size).map_err(|_| bad("its compressed data is damaged"))?,
        ),
        m => {
            return Err(
                bad(&format!("compression method {m}")).help("save it with numpy.savez or numpy.savez_compressed")
            );
        }
    };
    if content.len() != size {
        return Err(bad("an entry has another size than announced"));
    }
    if crc32(&content) != sum {
        return Err(bad("a checksum is wrong; the file is damaged"));
    }
    Ok(Entry { content, start: offset, end: start + packed })
}

/// Replaces sizes of 2^32 - 1 by those in the ZIP64 field, in the order size, packed size, offset.
fn zip64(mut extra: &[u8], sizes: &mut [usize; 3]) -> Outcome<()> {
    while extra.len() >= 4 {
        let (id, n) = (u16_at(extra, 0)?, u16_at(extra, 2)?);
        let field = slice(extra, 4, n)?;
        if id == 1 {
            let mut at = 0;
            for s in sizes.iter_mut().filter(|s| **s == u32::MAX as usize) {
                *s = u64_at(field, at)?;
                at += 8;
            }
        }
        extra = &extra[4 + n..];
    }
    Ok(())
}

/// The checksum of ZIP (reflected polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut t = [0u32; 256];
        let mut i = 0;
        while i < 256 {
            let (mut c, mut k) = (i as u32, 0);
            while k < 8 {
                c = if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 };
                k += 1;
            }
            t[i] = c;
            i += 1;
        }
        t
    };
    !bytes.iter().fold(!0u32, |c, b| (c >> 8) ^ TABLE[usize::from(c as u8 ^ b)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &[u8] = include_bytes!("../../assets/digits_test.npz");

    #[test]
    fn the_demo_data() {
        let arrays = read(DIGITS).unwrap();
        let shape = |name: &str| arrays.iter().find(|(n, _)| n == name).unwrap().1.shape.clone();
        assert_eq!(shape("x"), [360, 64]);
        assert_eq!(shape("y"), [360]);
        assert_eq!(shape("calibration"), [300, 64]);
    }

    #[test]
    fn damage_is_noticed() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        for n in [0, 1, 21, 100, DIGITS.len() - 1, DIGITS.len() - 30] {
            assert!(read(&DIGITS[..n]).is_err(), "cut to {n} bytes");
        }
        for at in [200, 50_000, 100_000] {
            let mut b = DIGITS.to_vec();
            b[at] ^= 1;
            assert!(read(&b).is_err(), "byte {at}");
        }
    }

    /// A ZIP file of one deflated entry.
    fn deflated(content: &[u8], claimed: usize) -> Vec<u8> {
        let packed = miniz_oxide::deflate::compress_to_vec(content, 6);
        let mut sizes = Vec::new();
        sizes.extend(crc32(content).to_le_bytes());
        sizes.extend((packed.len() as u32).to_le_bytes());
        sizes.extend((claimed as u32).to_le_bytes());
        let mut out = LOCAL.to_vec();
        out.extend([20, 0, 0, 0, 8, 0, 0, 0, 0, 0]);
        out.extend(&sizes);
        out.extend([5, 0, 0, 0]);
        out.extend(b"x.npy");
        out.extend(&packed);
        let directory = out.len();
        out.extend(ENTRY);
        out.extend([20, 0, 20, 0, 0, 0, 8, 0, 0, 0, 0, 0]);
        out.extend(&sizes);
        out.extend([5, 0]);
        out.extend([0; 16]);
        out.extend(b"x.npy");
        let end = out.len();
        out.extend(END);
        out.extend([0, 0, 0, 0, 1, 0, 1, 0]);
        out.extend(((end - directory) as u32).to_le_bytes());
        out.extend((directory as u32).to_le_bytes());
        out.extend([0, 0]);
        out
    }

    #[test]
    fn compressed_entries() {
        let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4096,), }\n";
        let mut content = npy::MAGIC.to_vec();
        content.extend([1, 0]);
        content.extend((header.len() as u16).to_le_bytes());
        content.extend(header);
        content.extend([3; 4096]);
        let arrays = read(&deflated(&content, content.len())).unwrap();
        assert_eq!(arrays[0].0, "x");
        assert_eq!(arrays[0].1.values, [3.0; 4096]);
        // Claims less than it inflates to, or more.
        assert!(read(&deflated(&content, 100)).is_err());
        assert!(read(&deflated(&content, content.len() + 1)).is_err());
    }

    /// An array of bytes as a file.
    fn array(content: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({},), }}\n", content.len());
        let mut out = npy::MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(content);
        out
    }

    /// Check sum, size and again size, length of a name.
    fn sizes(name: &str, content: &[u8]) -> Vec<u8> {
        let n = (content.len() as u32).to_le_bytes();
        [&crc32(content).to_le_bytes()[..], &n, &n, &(name.len() as u16).to_le_bytes()].concat()
    }

    /// A stored entry, where it lies.
    fn local(name: &str, content: &[u8]) -> Vec<u8> {
        let head = [20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        [&LOCAL[..], &head, &sizes(name, content), &[0, 0], name.as_bytes(), content].concat()
    }

    /// A stored entry in the directory.
    fn listed(name: &str, content: &[u8], flags: u8, at: usize) -> Vec<u8> {
        let head = [20, 0, 20, 0, flags, 0, 0, 0, 0, 0, 0, 0];
        let place = [&[0; 12][..], &(at as u32).to_le_bytes()].concat();
        [&ENTRY[..], &head, &sizes(name, content), &place, name.as_bytes()].concat()
    }

    fn archive(locals: &[u8], directory: &[Vec<u8>]) -> Vec<u8> {
        let (n, all) = ((directory.len() as u16).to_le_bytes(), directory.concat());
        let (size, at) = ((all.len() as u32).to_le_bytes(), (locals.len() as u32).to_le_bytes());
        [locals, &all, END, &[0; 4], &n, &n, &size, &at, &[0, 0]].concat()
    }

    #[test]
    fn what_readers_may_take_differently_is_refused() {
        let (a, b) = (array(&[1, 2, 3]), array(&[4, 5]));
        let refused = |bytes: &[u8], words: &str| {
            let f = read(bytes).unwrap_err();
            assert!(f.message.contains(words), "{words}: {}", f.message);
        };
        let two = [local("a.npy", &a), local("b.npy", &b)].concat();
        let second = local("a.npy", &a).len();
        let whole = archive(&two, &[listed("a.npy", &a, 0, 0), listed("b.npy", &b, 0, second)]);
        assert_eq!(read(&whole).unwrap().len(), 2);
        let same = [local("a.npy", &a), local("a.npy", &b)].concat();
        refused(
            &archive(&same, &[listed("a.npy", &a, 0, 0), listed("a.npy", &b, 0, second)]),
            "two arrays are called 'a'",
        );
        refused(
            &archive(&two, &[listed("a.npy", &a, 0, 0), listed("c.npy", &b, 0, second)]),
            "another name where it lies",
        );
        // One array lies within the other's bytes.
        let outer = array(&local("b.npy", &b));
        let at = local("a.npy", &outer).len() - local("b.npy", &b).len();
        let within = local("a.npy", &outer);
        refused(&archive(&within, &[listed("a.npy", &outer, 0, 0), listed("b.npy", &b, 0, at)]), "overlaps another");
        for (flag, words) in [(1, "encrypted"), (1 << 6, "encrypted"), (1 << 5, "a patch")] {
            refused(&archive(&local("a.npy", &a), &[listed("a.npy", &a, flag, 0)]), words);
        }
        // Bytes behind the end could be another directory's.
        refused(&[&whole[..], b"x"].concat(), "its directory is missing");
    }
}
