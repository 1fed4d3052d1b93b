//! Answers of AWS, as bytes: a connector of the SDK that opens no socket and says what a case says.
//!
//! A case's answers stand one behind the other, with a byte 0x1e in between. Each begins with a line: the call that it
//! answers (an operation, for S3 the request's method, or `*` for any), the status, and headers, with bars in between.
//! Behind the line is the body. Answers of a call are given in turn, the last one again and again.

use std::fmt::{Debug, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::LocalKey;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use sluice_ports::{Error, ErrorKind};
use tokio::runtime::{Builder, Runtime};

/// Between two answers.
pub(crate) const BETWEEN: u8 = 0x1e;
/// Requests of one case, at most: whoever is told the same for ever has to give up.
const MOST_REQUESTS: usize = 3_000;
/// What an error may say: it goes on record.
const LONGEST_ERROR: usize = 4_000;

#[derive(Clone, Debug, Default)]
struct Answer {
    call: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut words = head.split('|');
        let call = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(200);
        let headers = words.filter_map(|word| word.split_once(':'));
        let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        Self { call, status, headers, body: bytes.get(end + 1..).unwrap_or_default().to_vec() }
    }

    /// None if no server could have sent it.
    fn response(self) -> Option<HttpResponse> {
        let mut response = HttpResponse::new(self.status.try_into().ok()?, SdkBody::from(self.body));
        for (name, value) in self.headers {
            let _ = response.headers_mut().try_append(name, value);
        }
        Some(response)
    }
}

#[derive(Debug, Default)]
struct State {
    answers: Vec<Answer>,
    requests: usize,
    /// A call that is refused from so many requests on: some are made a thousand times before they are given up.
    most: Option<(&'static str, usize)>,
    last: Vec<u8>,
}

/// A case's answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are given.
    pub(crate) fn play(&self, answers: &[u8], most: Option<(&'static str, usize)>) {
        let answers = answers.split(|byte| *byte == BETWEEN).map(Answer::read).collect();
        *self.state() = State { answers, most, ..State::default() };
    }

    /// The body of the last request.
    pub(crate) fn sent(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().last)
    }

    /// What the SDK takes for the network.
    pub(crate) fn network(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let call = target.unwrap_or(request.method()).to_owned();
        let mut state = self.state();
        state.requests += 1;
        assert!(state.requests < MOST_REQUESTS, "{call} is asked without end");
        state.last = request.body().bytes().unwrap_or_default().to_vec();
        if state.most.is_some_and(|(costly, most)| costly == call && state.requests > most) {
            let body = SdkBody::from(r#"{"__type":"ResourceNotFoundException"}"#);
            return HttpConnectorFuture::ready(Ok(HttpResponse::new(400.try_into().expect("a status"), body)));
        }
        let mut fit = (0..state.answers.len()).filter(|at| ["*", &call].contains(&state.answers[*at].call.as_str()));
        let answer = match (fit.next(), fit.next()) {
            (Some(first), Some(_)) => Some(state.answers.remove(first)),
            (Some(only), None) => Some(state.answers[only].clone()),
            _ => None,
        };
        let response = answer.and_then(Answer::response);
        HttpConnectorFuture::ready(response.ok_or_else(|| ConnectorError::io("the connection was reset".into())))
    }
}

/// Waits for what an adapter does.
pub(crate) fn done<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// An error says what it has to, and no more.
pub(crate) fn brief(error: &impl Display) {
    let said = error.to_string();
    assert!(!said.is_empty() && said.len() < LONGEST_ERROR, "an error of {} bytes", said.len());
}

/// What reading answered, if it did. It leaves nothing open that could have happened.
pub(crate) fn read<T>(answer: Result<T, Error>) -> Option<T> {
    if let Err(error) = &answer {
        assert_ne!(error.kind(), ErrorKind::Indeterminate, "reading did something: {error}");
    }
    written(answer)
}

/// What writing answered, if it did.
pub(crate) fn written<T>(answer: Result<T, Error>) -> Option<T> {
    answer.inspect_err(brief).ok()
}

/// A case: which of the calls, and these answers.
pub(crate) fn case(kind: u8, answers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![kind];
    for (at, (head, body)) in answers.iter().enumerate() {
        if at > 0 {
            out.push(BETWEEN);
        }
        out.extend_from_slice(head.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(body.as_bytes());
    }
    out
}

/// Names for cases.
pub(crate) fn named(cases: Vec<(&str, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    cases.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// Takes a case apart: a client of this thread, the call that the first byte says, and the answers that it is given.
pub(crate) fn played<C: Clone>(
    of: &'static LocalKey<(C, Script)>,
    case: &[u8],
    most: Option<(&'static str, usize)>,
) -> Option<(C, Script, u8)> {
    let (kind, answers) = case.split_first()?;
    let (client, script) = of.with(Clone::clone);
    script.play(answers, most);
    Some((client, script, *kind))
}

/// What was read again is what was written.
pub(crate) fn same<T: PartialEq + Debug>(again: Option<&T>, before: &T) {
    assert_eq!(again, Some(before), "written and read again it is another");
}
