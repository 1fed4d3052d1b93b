//! What the service knows: objects and open uploads, by bucket and key; and what it answers (Amazon S3 API reference).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::http::{Answer, Request};

const CRC: &str = "x-amz-checksum-crc64nvme";
const KIND: &str = "x-amz-checksum-type";

type Name = (String, String);

struct Object {
    size: u64,
    etag: String,
    /// As it was told.
    crc: Option<String>,
    metadata: BTreeMap<String, String>,
    /// None if it was forgotten.
    bytes: Option<Vec<u8>>,
}

struct Part {
    size: u64,
    crc: Option<String>,
    etag: String,
}

struct Upload {
    name: Name,
    metadata: BTreeMap<String, String>,
    parts: BTreeMap<u32, Part>,
}

#[derive(Default)]
pub(crate) struct Objects {
    made: BTreeMap<Name, Object>,
    uploads: BTreeMap<String, Upload>,
    /// For names and etags that are each given once.
    given: u64,
}

fn name(request: &Request) -> Name {
    (request.bucket.clone(), request.key.clone())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Objects {
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        let upload = request.query("uploadId");
        if request.key.is_empty() {
            return match (request.query("list-type"), request.query("uploads")) {
                (Some(_), _) => self.list(request),
                (_, Some(_)) => self.list_uploads(request),
                _ => Answer::new(200),
            };
        }
        match upload {
            Some(id) if request.is("PUT") => self.part(request, id),
            Some(id) if request.is("POST") => self.complete(request, id),
            Some(id) if request.is("DELETE") => match self.uploads.remove(id) {
                Some(_) => Answer::new(204),
                None => Answer::error(404, "NoSuchUpload"),
            },
            Some(id) if request.is("GET") => self.list_parts(request, id),
            None if request.is("POST") && request.query("uploads").is_some() => self.create(request),
            None if request.is("PUT") => self.put(request),
            None if request.is("HEAD") => self.head(request),
            None if request.is("GET") => self.get(request),
            _ => Answer::error(501, "NotImplemented"),
        }
    }

    fn next(&mut self) -> String {
        self.given += 1;
        format!("{:032x}", self.given)
    }

    /// Whether the condition under which an object may be made does not hold.
    fn is_in_the_way(&self, request: &Request) -> bool {
        request.header("if-none-match").is_some() && self.made.contains_key(&name(request))
    }

    fn put(&mut self, request: &Request) -> Answer {
        if self.is_in_the_way(request) {
            return Answer::error(412, "PreconditionFailed");
        }
        let (etag, crc) = (self.next(), request.header(CRC).map(str::to_owned));
        let answer = Answer::new(200).with("etag", format!("\"{etag}\""));
        let (size, metadata, bytes) = (request.len, request.metadata(), request.body.clone());
        self.made.insert(name(request), Object { size, etag, crc, metadata, bytes });
        answer
    }

    fn create(&mut self, request: &Request) -> Answer {
        let id = self.next();
        let answer = Answer::xml(&format!(
            "<InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>",
            escaped(&request.bucket),
            escaped(&request.key)
        ));
        let upload = Upload { name: name(request), metadata: request.metadata(), parts: BTreeMap::new() };
        self.uploads.insert(id, upload);
        answer.with(KIND, "FULL_OBJECT").with("x-amz-checksum-algorithm", "CRC64NVME")
    }

    fn part(&mut self, request: &Request, id: &str) -> Answer {
        let Some(number) = request.query("partNumber").and_then(|number| number.parse().ok()) else {
            return Answer::error(400, "InvalidArgument");
        };
        let etag = self.next();
        let Some(upload) = self.uploads.get_mut(id) else { return Answer::error(404, "NoSuchUpload") };
        let answer = Answer::new(200).with("etag", format!("\"{etag}\""));
        let crc = request.header(CRC).map(str::to_owned);
        upload.parts.insert(number, Part { size: request.len, crc, etag });
        answer
    }

    fn complete(&mut self, request: &Request, id: &str) -> Answer {
        if !self.uploads.contains_key(id) {
            return Answer::error(404, "NoSuchUpload");
        }
        if self.is_in_the_way(request) {
            return Answer::error(412, "PreconditionFailed");
        }
        let Some(upload) = self.uploads.remove(id) else { return Answer::error(404, "NoSuchUpload") };
        let (size, etag) = (upload.parts.values().map(|part| part.size).sum(), self.next());
        let crc = request.header(CRC).map(str::to_owned);
        let answer = Answer::xml(&format!(
            "<CompleteMultipartUploadResult><ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>"
        ));
        self.made.insert(upload.name, Object { size, etag, crc, metadata: upload.metadata, bytes: None });
        answer
    }

    fn head(&self, request: &Request) -> Answer {
        let Some(object) = self.made.get(&name(request)) else { return Answer::new(404) };
        let answer = Answer::new(200).with("etag", format!("\"{}\"", object.etag)).of_length(object.size);
        let answer = answer.all(object.metadata.clone());
        match &object.crc {
            Some(crc) => answer.with(CRC, crc).with(KIND, "FULL_OBJECT"),
            None => answer,
        }
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(object) = self.made.get(&name(request)) else { return Answer::error(404, "NoSuchKey") };
        // What was forgotten cannot be read; no export does.
        let Some(bytes) = &object.bytes else { return Answer::error(501, "NotImplemented") };
        let etag = format!("\"{}\"", object.etag);
        if request.header("if-match").is_some_and(|wanted| wanted != etag) {
            return Answer::error(412, "PreconditionFailed");
        }
        let (first, last) = request.range().unwrap_or((0, bytes.len()));
        let last = last.min(bytes.len().saturating_sub(1));
        let Some(part) = bytes.get(first..=last) else { return Answer::error(416, "InvalidRange") };
        let range = format!("bytes {first}-{last}/{}", bytes.len());
        Answer::new(206).with("etag", etag).with("content-range", range).body(part)
    }

    fn list(&self, request: &Request) -> Answer {
        let (prefix, after) = (request.query("prefix").unwrap_or(""), request.query("start-after").unwrap_or(""));
        let most = request.query("max-keys").and_then(|most| most.parse().ok()).unwrap_or(1_000);
        let found = self
            .made
            .iter()
            .filter(|((bucket, key), _)| *bucket == request.bucket && key.starts_with(prefix) && key.as_str() > after);
        let (mut body, mut count) = (String::new(), 0_usize);
        for ((_, key), object) in found {
            count += 1;
            if count <= most {
                let (key, etag, size) = (escaped(key), &object.etag, object.size);
                // Writing into a string does not fail.
                let _ = write!(
                    body,
                    "<Contents><Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
                );
            }
        }
        let more = count > most;
        Answer::xml(&format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{body}</ListBucketResult>"))
    }

    fn list_uploads(&self, request: &Request) -> Answer {
        let prefix = request.query("prefix").unwrap_or("");
        let mut body = String::new();
        for (id, Upload { name: (bucket, key), .. }) in &self.uploads {
            if *bucket == request.bucket && key.starts_with(prefix) {
                let _ = write!(body, "<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", escaped(key));
            }
        }
        Answer::xml(&format!(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{body}</ListMultipartUploadsResult>"
        ))
    }

    fn list_parts(&self, request: &Request, id: &str) -> Answer {
        let Some(upload) = self.uploads.get(id) else { return Answer::error(404, "NoSuchUpload") };
        let behind = request.query("part-number-marker").and_then(|behind| behind.parse().ok()).unwrap_or(0);
        let mut body = String::new();
        for (number, Part { size, crc, etag }) in upload.parts.range(behind + 1..) {
            let crc = crc.as_ref().map(|crc| format!("<ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>"));
            let crc = crc.unwrap_or_default();
            let _ = write!(
                body,
                "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size>{crc}</Part>"
            );
        }
        Answer::xml(&format!("<ListPartsResult><IsTruncated>false</IsTruncated>{body}</ListPartsResult>"))
    }
}
