//! The JSON form of the message: an object, in which protobuf takes its fields under two names and numbers in
//! quotes, too.

use super::{Draft, OrcaError, number};

const MALFORMED: OrcaError = OrcaError::Malformed("JSON object");

/// Objects and lists within each other; the message has one.
const DEEPEST: usize = 8;

/// Reads the metrics of the object in `json`.
pub(super) fn read(json: &[u8], draft: &mut Draft) -> Result<(), OrcaError> {
    let mut reader = Reader { rest: json };
    reader.object(|reader, name| {
        let Some(index) = Draft::find(|metric| name == metric.0.as_bytes() || name == metric.1.as_bytes())
        else {
            return reader.skip(DEEPEST);
        };
        match reader.number()? {
            Some(value) => draft.set(index, value),
            None => Ok(()),
        }
    })?;
    if reader.peek().is_some() {
        return Err(MALFORMED);
    }
    Ok(())
}

struct Reader<'j> {
    rest: &'j [u8],
}

impl<'j> Reader<'j> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let blanks = self.rest.iter().take_while(blank).count();
        self.rest = &self.rest[blanks..];
        self.rest.first().copied()
    }

    fn take(&mut self, byte: u8) -> Result<(), OrcaError> {
        if self.peek() != Some(byte) {
            return Err(MALFORMED);
        }
        self.rest = &self.rest[1..];
        Ok(())
    }

    /// Reads `open`, items with commas between them, and `close`.
    fn items(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), OrcaError>,
    ) -> Result<(), OrcaError> {
        self.take(open)?;
        if self.peek() == Some(close) {
            return self.take(close);
        }
        loop {
            item(self)?;
            if self.peek() != Some(b',') {
                return self.take(close);
            }
            self.take(b',')?;
        }
    }

    /// Reads an object; `value` is called with each name and reads what belongs to it.
    fn object(
        &mut self,
        mut value: impl FnMut(&mut Self, &'j [u8]) -> Result<(), OrcaError>,
    ) -> Result<(), OrcaError> {
        self.items(b'{', b'}', |reader| {
            let name = reader.string()?;
            reader.take(b':')?;
            value(reader, name)
        })
    }

    /// What stands between quotes, escapes as they are: no name that is looked for has any.
    fn string(&mut self) -> Result<&'j [u8], OrcaError> {
        self.take(b'"')?;
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let (text, rest) = self.rest.split_at(end.ok_or(MALFORMED)?);
        self.rest = &rest[1..];
        Ok(text)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<&'j [u8], OrcaError> {
        self.peek();
        let of_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let len = self.rest.iter().take_while(of_word).count();
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        let known = matches!(word, b"true" | b"false" | b"null");
        if known || (matches!(word, [b'-' | b'0'..=b'9', ..]) && number(word).is_some()) {
            Ok(word)
        } else {
            Err(MALFORMED)
        }
    }

    /// A number, perhaps in quotes; `null` is none.
    fn number(&mut self) -> Result<Option<f64>, OrcaError> {
        let text = match self.peek() {
            Some(b'"') => self.string()?,
            _ => match self.word()? {
                b"null" => return Ok(None),
                word => word,
            },
        };
        number(text).map(Some).ok_or(MALFORMED)
    }

    /// Passes over a value.
    fn skip(&mut self, depth: usize) -> Result<(), OrcaError> {
        let deeper = depth.checked_sub(1).ok_or(MALFORMED);
        match self.peek() {
            Some(b'{') => {
                let deeper = deeper?;
                self.object(|reader, _| reader.skip(deeper))
            }
            Some(b'[') => {
                let deeper = deeper?;
                self.items(b'[', b']', |reader| reader.skip(deeper))
            }
            Some(b'"') => self.string().map(drop),
            _ => self.word().map(drop),
        }
    }
}
