//! The message in protobuf's wire format, of which only the numbers of interest are looked at.

use super::{Draft, METRICS, OrcaError};

const MALFORMED: OrcaError = OrcaError::Malformed("OrcaLoadReport message");

/// Reads the metrics of `message`.
pub(super) fn read(mut message: &[u8], draft: &mut Draft) -> Result<(), OrcaError> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let field = key >> 3;
        if field == 0 {
            return Err(MALFORMED);
        }
        match key & 7 {
            0 => drop(varint(&mut message)?),
            1 => {
                let bytes = take(&mut message, 8)?;
                let value = f64::from_le_bytes(bytes.try_into().map_err(|_| MALFORMED)?);
                if let Some(index) = METRICS.iter().position(|metric| metric.2 == field) {
                    draft.set(index, value)?;
                }
            }
            2 => {
                let len = varint(&mut message)?;
                take(&mut message, usize::try_from(len).unwrap_or(usize::MAX))?;
            }
            5 => drop(take(&mut message, 4)?),
            _ => return Err(MALFORMED),
        }
    }
    Ok(())
}

fn take<'m>(message: &mut &'m [u8], len: usize) -> Result<&'m [u8], OrcaError> {
    let (taken, rest) = message.split_at_checked(len).ok_or(MALFORMED)?;
    *message = rest;
    Ok(taken)
}

/// Seven bits a byte, the least significant first; at most 64 in all.
fn varint(message: &mut &[u8]) -> Result<u64, OrcaError> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(MALFORMED);
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(MALFORMED)
}
