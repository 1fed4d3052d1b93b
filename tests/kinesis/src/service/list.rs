//! `ListShards`: pages, tokens and filters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::stream::Shard;
use super::{Call, Service, Status, Stream};
use crate::Millis;
use crate::counts::Operation;
use crate::hash::Hashes;
use crate::refused::{Answer, Code, Refused};

/// Shards in one page, unless told.
const PAGE: u32 = 1_000;
/// Shards in one page at most.
const LARGEST_PAGE: u32 = 10_000;
/// How long a token lives.
const TOKEN_MILLIS: Millis = 300_000;

/// Which shards are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All that have records within retention, or may get some.
    #[default]
    FromTrimHorizon,
    /// Those that were open at the trim horizon.
    AtTrimHorizon,
    /// Those that are open.
    AtLatest,
    /// Those that were open at a time.
    AtTimestamp(Millis),
    /// Those that were open at a time or since.
    FromTimestamp(Millis),
    /// Those behind a shard, by name.
    AfterShardId(String),
}

/// A shard as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Its name.
    pub shard: String,
    /// Hashes that lead, or led, to it.
    pub hashes: Hashes,
    /// The shard that was split into it, or the first of those that were merged. It may be gone.
    pub parent: Option<String>,
    /// The second of those that were merged.
    pub adjacent: Option<String>,
    /// The number that its range begins with; no record has it.
    pub starting: String,
    /// The number that its range ends with; no record has it. None while the shard is open.
    pub ending: Option<String>,
}

/// A page of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPage {
    /// The shards, in the order of their names.
    pub shards: Vec<Lineage>,
    /// Asks for the next page; lives for 5 minutes.
    pub next_token: Option<String>,
}

/// What a token stands for.
#[derive(Clone, Debug)]
pub(super) struct Token {
    stream: String,
    created: Millis,
    filter: Filter,
    after: u32,
    given: Millis,
}

impl Call<'_> {
    /// The first page of a stream's shards, of 1,000 unless told.
    pub fn list_shards(&mut self, stream: &str, filter: Filter, page: Option<u32>) -> Answer<ShardPage> {
        self.counted(Operation::ListShards, |service, now| {
            let found = service.stream(stream)?;
            match found.status(now) {
                Status::Creating | Status::Deleting => {
                    let what = format!("Stream {stream} is {}.", found.status(now));
                    return Err(Refused::new(Code::ResourceInUse, what));
                }
                Status::Active | Status::Updating => {}
            }
            let token = Token { stream: found.name.clone(), created: found.created, filter, after: 0, given: now };
            service.page(&token, None, page, now)
        })
    }

    /// The next page.
    pub fn list_more_shards(&mut self, token: &str, page: Option<u32>) -> Answer<ShardPage> {
        self.counted(Operation::ListShards, |service, now| {
            let number = STANDARD.decode(token).ok().and_then(|text| String::from_utf8(text).ok());
            let number = number.and_then(|text| text.strip_prefix("shards ")?.parse::<usize>().ok());
            let Some(token) = number.and_then(|number| service.tokens.get(number)).cloned() else {
                return Err(Refused::argument("NextToken is invalid."));
            };
            if now > token.given + TOKEN_MILLIS {
                return Err(Refused::new(Code::ExpiredNextToken, "NextToken is older than 300 seconds."));
            }
            let after = token.after;
            service.page(&token, Some(after), page, now)
        })
    }
}

impl Service {
    fn page(&mut self, token: &Token, after: Option<u32>, page: Option<u32>, now: Millis) -> Answer<ShardPage> {
        let page = page.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&page) {
            return Err(Refused::validation(page, "maxResults", "have value between 1 and 10000"));
        }
        let horizon = self.horizon(&token.stream, now)?;
        let stream = self.stream(&token.stream)?;
        if stream.created != token.created {
            return Err(self.missing(&token.stream));
        }
        let listed = |shard: &&Shard| {
            after.is_none_or(|after| shard.index > after) && token.filter.takes(stream, shard, horizon)
        };
        let mut shards = stream.shards.iter().filter(listed);
        let found: Vec<_> = shards.by_ref().take(page as usize).collect();
        let more = found.last().map(|last| last.index).filter(|_| shards.next().is_some());
        let shards = found.into_iter().map(Lineage::of).collect();
        let next_token = more.map(|after| {
            self.tokens.push(Token { after, given: now, ..token.clone() });
            STANDARD.encode(format!("shards {}", self.tokens.len() - 1))
        });
        Ok(ShardPage { shards, next_token })
    }
}

impl Filter {
    fn takes(&self, stream: &Stream, shard: &Shard, horizon: Millis) -> bool {
        let open_until = shard.closed.map_or(Millis::MAX, |closed| closed.at);
        let open_at = |time: Millis| shard.opened <= time && time <= open_until;
        // A stream that is younger than its retention begins when it was made.
        let horizon = horizon.max(stream.created);
        match self {
            Self::FromTrimHorizon => true,
            Self::AtTrimHorizon => open_at(horizon),
            Self::AtLatest => shard.closed.is_none(),
            Self::AtTimestamp(time) => open_at(*time),
            Self::FromTimestamp(time) => open_until >= *time,
            Self::AfterShardId(id) => shard.id > *id,
        }
    }
}

impl Lineage {
    fn of(shard: &Shard) -> Self {
        Self {
            shard: shard.id.clone(),
            hashes: shard.hashes,
            parent: shard.parent.clone(),
            adjacent: shard.adjacent.clone(),
            starting: shard.starting.to_string(),
            ending: shard.closed.map(|closed| closed.ending.to_string()),
        }
    }
}
