//! S3 as a script: a connector that keeps what it is sent and answers what it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use sluice_bucket_s3::{S3Bucket, S3Settings, configure};

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: String,
    /// Scheme, host, path and query.
    pub(crate) uri: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Headers that are the SDK's own business, or change with the time.
const VOLATILE: [&str; 6] =
    ["amz-sdk-invocation-id", "amz-sdk-request", "authorization", "user-agent", "x-amz-date", "x-amz-user-agent"];

impl Sent {
    /// The request as text, line by line: what it asks for, its headers, and its body if there is one.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.uri);
        for (name, value) in self.headers.iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str())) {
            text = text + name + ": " + value + "\n";
        }
        text + &String::from_utf8_lossy(&self.body)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    broken: Option<Broken>,
}

/// How a request gets no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    /// Nobody listens.
    Refused,
    /// The connection broke after the request was sent.
    Reset,
    /// It takes for ever.
    Silent,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), broken: None }
    }

    /// An error in the form of the Amazon S3 API reference, "REST error responses".
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>because</Message>\
             <RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>"
        );
        Self::new(status, body).with("content-type", "application/xml").with("x-amz-request-id", "4442587FB7D0A2F9")
    }

    pub(crate) fn broken(how: Broken) -> Self {
        Self { broken: Some(how), ..Self::new(500, "") }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers in turn, the last one again and again.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), sent: Arc::default() }
    }

    /// All requests so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// Settings of a client behind the script.
    pub(crate) fn config(&self) -> Builder {
        let connector = SharedHttpConnector::new(self.clone());
        Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
            .http_client(http_client_fn(move |_, _| connector.clone()))
    }

    /// A bucket behind the script, at Amazon's own endpoint.
    pub(crate) fn bucket(&self, settings: S3Settings) -> S3Bucket {
        S3Bucket::new(Client::from_conf(configure(self.config(), false).build()), "archive", settings)
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let script = self.clone();
        HttpConnectorFuture::new(async move {
            let (method, uri) = (request.method().to_owned(), request.uri().to_owned());
            let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let body = ByteStream::new(request.into_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::user(error.into()))?.to_vec();
            script.sent.lock().unwrap().push(Sent { method, uri, headers, body });
            let answer = {
                let mut answers = script.answers.lock().unwrap();
                if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap()
            };
            match answer.broken {
                Some(Broken::Refused) => {
                    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                    Err(ConnectorError::io(Box::new(refused)))
                }
                Some(Broken::Reset) => {
                    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    Err(ConnectorError::io(Box::new(reset)))
                }
                Some(Broken::Silent) => std::future::pending().await,
                None => {
                    let mut response = HttpResponse::new(answer.status.try_into().unwrap(), SdkBody::from(answer.body));
                    for (name, value) in answer.headers {
                        response.headers_mut().insert(name, value);
                    }
                    Ok(response)
                }
            }
        })
    }
}
