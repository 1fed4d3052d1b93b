//! As much of HTTP/1.1 (RFC 9112) as the SDK speaks to an endpoint: bodies of known length, connections that stay.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _, Write};

use crate::Result;

/// A line of a head is at most so long.
const LINE: u64 = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Request {
    method: String,
    pub bucket: String,
    /// Empty if the bucket itself is meant.
    pub key: String,
    query: BTreeMap<String, String>,
    /// By their names in small letters.
    headers: BTreeMap<String, String>,
    /// Bytes of the body.
    pub len: u64,
    /// None if it was too large to keep.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// The next request; none once the client has ended the connection. A body of up to `kept` bytes is kept.
    pub(crate) fn read(input: &mut impl BufRead, output: &mut impl Write, kept: u64) -> Result<Option<Self>> {
        let first = line(input)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut request = Self::of_first_line(&first)?;
        loop {
            let header = line(input)?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').ok_or("a header without a colon")?;
            request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        if request.headers.contains_key("transfer-encoding") {
            return Err("a body of unknown length".into());
        }
        if request.header("expect").is_some() {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.len = request.header("content-length").map_or(Ok(0), str::parse)?;
        let mut body = input.take(request.len);
        if request.len <= kept {
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes)?;
            request.body = Some(bytes);
        } else {
            std::io::copy(&mut body, &mut std::io::sink())?;
        }
        if body.limit() > 0 {
            return Err("the body breaks off".into());
        }
        Ok(Some(request))
    }

    fn of_first_line(first: &str) -> Result<Self> {
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err("no request".into()) };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/').ok_or("a path without a slash")?;
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
        let (method, bucket, key) = (method.to_owned(), bucket.to_owned(), decoded(key));
        Ok(Self { method, bucket, key, query, ..Self::default() })
    }

    pub(crate) fn is(&self, method: &str) -> bool {
        self.method == method
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Metadata, as headers that an answer gives back.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let own = |(name, _): &(&String, &String)| name.starts_with("x-amz-meta-");
        self.headers.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// First and last byte of a range that is asked for.
    pub(crate) fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

/// A line without its end; an empty one also where the input ends.
fn line(input: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    input.take(LINE).read_line(&mut line)?;
    line.truncate(line.trim_end().len());
    Ok(line)
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(piece.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Debug, Default)]
pub(crate) struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    /// Told in the place of the body's length.
    len: Option<u64>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn xml(body: &str) -> Self {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into_bytes();
        Self { body, ..Self::new(200) }.with("content-type", "application/xml")
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self { status, ..Self::xml(&format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>")) }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn of_length(mut self, len: u64) -> Self {
        self.len = Some(len);
        self
    }

    pub(crate) fn all(mut self, headers: BTreeMap<String, String>) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(crate) fn to_bytes(&self, only_head: bool) -> Vec<u8> {
        let len = self.len.unwrap_or(self.body.len() as u64);
        let mut out = format!("HTTP/1.1 {} -\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        // An answer without content says no length (RFC 9110, section 8.6).
        if self.status != 204 {
            out.extend_from_slice(format!("content-length: {len}\r\n").as_bytes());
        }
        out.extend_from_slice(b"x-amz-request-id: sink\r\n\r\n");
        if !only_head {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_the_next_one_begins_behind_it() {
        let text = "PUT /b/a%20b/c?partNumber=2&uploadId=u HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\
                    x-amz-meta-a: 1\r\n\r\nabcGET /b?list-type=2&prefix=p%2F HTTP/1.1\r\nRange: bytes=2-5\r\n\r\n";
        let (mut input, mut output) = (text.as_bytes(), Vec::new());
        let put = Request::read(&mut input, &mut output, 1 << 20).unwrap().unwrap();
        assert!(put.is("PUT"));
        assert_eq!((put.bucket.as_str(), put.key.as_str(), put.len), ("b", "a b/c", 3));
        assert_eq!(put.body.as_deref(), Some(&b"abc"[..]));
        assert_eq!((put.query("partNumber"), put.query("uploadId")), (Some("2"), Some("u")));
        assert_eq!(put.metadata().len(), 1);
        assert!(output.starts_with(b"HTTP/1.1 100 "));
        let get = Request::read(&mut input, &mut output, 1 << 20).unwrap().unwrap();
        assert_eq!((get.bucket.as_str(), get.key.as_str(), get.query("prefix")), ("b", "", Some("p/")));
        assert_eq!(get.range(), Some((2, 5)));
        assert!(Request::read(&mut input, &mut output, 1 << 20).unwrap().is_none());
    }

    #[test]
    fn a_body_that_breaks_off_is_an_error() {
        let mut input = &b"PUT /b/k HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"[..];
        assert!(Request::read(&mut input, &mut Vec::new(), 0).is_err());
    }
}
