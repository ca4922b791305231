//! The stack file (docs/protocol.md#stack-file). It holds secrets: whoever writes it to a disk keeps it from others.
//!
//! ```text
//! magic "ASSAYSTK" | u16 version | u64 payload bytes | payload | keccak of all bytes before
//! payload: u32 n, schema bytes | powers of tau | values, u32 each, in two's complement | n rows, Fr | n rows, G1
//! ```
//! Integers are big-endian. The numbers of values and of rows follow from the schema, so a length is checked before anything is
//! allocated.

use super::{Stack, StackError, check_factors, check_values};
use assay_circuits::{GraphError, Tensor, canonical, stack::Schema};
use assay_verifier::{
    curve::{CodecError, FIELD_BYTES, G1_BYTES, Reader, fr_to_bytes, g1_to_bytes},
    opening::VerifierSrs,
};

/// First bytes of a stack file.
pub const MAGIC: &[u8; 8] = b"ASSAYSTK";
/// Version of the format.
pub const VERSION: u16 = 1;
/// Largest stack file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 31;
/// Most bytes of a schema.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

const HEADER: usize = 8 + 2 + 8;
const CHECKSUM: usize = 32;
const DOMAIN: &str = "assay.stack-file";

impl From<CodecError> for StackError {
    fn from(e: CodecError) -> Self {
        Self::File(e.to_string())
    }
}

impl Stack {
    /// The stack file: values and blinding factors in the clear.
    ///
    /// # Errors
    /// A stack too large for a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StackError> {
        let schema = canonical::to_bytes(&self.schema)?;
        let mut payload = u32::try_from(schema.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        payload.extend_from_slice(&schema);
        payload.extend_from_slice(&self.srs.to_bytes());
        for v in self.values.iter().flat_map(|t| &t.data) {
            let v = i32::try_from(*v).map_err(|_| GraphError::Parameter(format!("{v} in a stack")))?;
            payload.extend_from_slice(&v.to_be_bytes());
        }
        self.blinds.iter().for_each(|b| payload.extend_from_slice(&fr_to_bytes(b)));
        self.rows.iter().for_each(|p| payload.extend_from_slice(&g1_to_bytes(p)));
        let mut out = Vec::with_capacity(HEADER + payload.len() + CHECKSUM);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        out.extend_from_slice(&payload);
        let sum = canonical::digest(DOMAIN, &[&out]);
        out.extend_from_slice(&sum);
        if out.len() > MAX_FILE_BYTES {
            return Err(StackError::File(format!("{} bytes; at most {MAX_FILE_BYTES}", out.len())));
        }
        Ok(out)
    }

    /// Reads a stack file. Every value is checked against its width; that the rows are commitments to the values is not: see
    /// [`Stack::check`].
    ///
    /// # Errors
    /// Bytes that are no stack file, of another version, cut short or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StackError> {
        let bad = |what: &str| StackError::File(what.to_owned());
        if bytes.len() > MAX_FILE_BYTES {
            return Err(StackError::File(format!("{} bytes; at most {MAX_FILE_BYTES}", bytes.len())));
        }
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(|| bad("it does not start with ASSAYSTK"))?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| bad("it is cut short"))?;
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(StackError::Version { expected: VERSION, got: version });
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(|| bad("it is cut short"))?;
        let (payload, sum) = rest.split_last_chunk::<CHECKSUM>().ok_or_else(|| bad("it is cut short"))?;
        let announced = u64::from_be_bytes(*length);
        if announced != payload.len() as u64 {
            return Err(StackError::File(format!("it announces {announced} bytes and holds {}", payload.len())));
        }
        if canonical::digest(DOMAIN, &[&bytes[..bytes.len() - CHECKSUM]]) != *sum {
            return Err(bad("its checksum is wrong; the file is damaged"));
        }
        let mut r = Reader::new(payload);
        let n = r.count(MAX_SCHEMA_BYTES, 1)?;
        let schema: Schema = canonical::from_bytes(r.slice(n)?)?;
        schema.validate()?;
        let srs = VerifierSrs::read(&mut r)?;
        let rows = schema.rows();
        let left = payload.len() - 4 - n - VerifierSrs::BYTES;
        let needed = 4 * schema.values() + rows * (FIELD_BYTES + G1_BYTES);
        if left != needed {
            return Err(StackError::File(format!(
                "its schema asks for {needed} bytes of values and rows, it holds {left}"
            )));
        }
        let mut values = Vec::with_capacity(schema.tensors.len());
        for t in &schema.tensors {
            let bytes = r.slice(4 * t.shape.iter().product::<usize>())?;
            let data = bytes.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_be_bytes(*b))).collect();
            values.push(Tensor::new(t.shape.clone(), data)?);
        }
        check_values(&schema, &values)?;
        let blinds = r.frs(rows)?;
        check_factors(&blinds)?;
        let points = r.g1s(rows)?;
        r.finish()?;
        Ok(Self { schema, values, blinds, rows: points, srs })
    }
}
