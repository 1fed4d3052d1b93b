//! The port.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::de::DeserializeOwned;
use sluice_ports::{CheckpointStore, Created, Error, ErrorKind, Result, Stored, TransferRemoval, WriterAnswer};
use sluice_transfer::record::{LedgerPage, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, TransferId};

use crate::SqliteCheckpoints;
use crate::file::{LABEL, READERS};
use crate::record::{Standing, from_text, to_text};

fn fault(doing: &str) -> impl FnOnce(rusqlite::Error) -> Error + '_ {
    move |error| sluice_sqlite::fault(LABEL, doing, error)
}

fn begin<'a>(connection: &'a mut Connection, doing: &str) -> Result<Transaction<'a>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault(doing))
}

fn commit(tx: Transaction<'_>, doing: &str) -> Result<()> {
    tx.commit().map_err(|error| sluice_sqlite::commit_fault(LABEL, doing, error))
}

fn transfer_name(id: &TransferId) -> String {
    format!("the transfer {id}")
}

fn shard_name(id: &TransferId, shard: &ShardId) -> String {
    format!("shard {shard} of the transfer {id}")
}

/// A row's record as text; none if there is no such row.
fn text(connection: &Connection, name: &str, sql: &str, key: impl rusqlite::Params) -> Result<Option<String>> {
    let read = || connection.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional();
    read().map_err(fault(&format!("reading {name}")))
}

fn transfer_text(connection: &Connection, id: &TransferId) -> Result<Option<String>> {
    text(connection, &transfer_name(id), "SELECT record FROM transfers WHERE id = ?1", [id.as_str()])
}

fn shard_text(connection: &Connection, id: &TransferId, shard: &ShardId) -> Result<Option<String>> {
    let sql = "SELECT record FROM shards WHERE transfer = ?1 AND shard = ?2";
    text(connection, &shard_name(id, shard), sql, [id.as_str(), shard.as_str()])
}

fn readers_name(stream: &StreamUri) -> String {
    format!("the readers of {stream}")
}

fn readers_text(connection: &Connection, stream: &StreamUri) -> Result<Option<String>> {
    let name = readers_name(stream);
    let made = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'readers'";
    if text(connection, &name, made, [])?.is_none() {
        return Ok(None);
    }
    text(connection, &name, "SELECT record FROM readers WHERE stream = ?1", [stream.to_string()])
}

/// Makes a row by `insert`, which does nothing where there is one, or answers the record that is there.
fn create<T: DeserializeOwned>(
    connection: &mut Connection,
    name: &str,
    insert: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    read: impl FnOnce(&Connection) -> Result<Option<String>>,
) -> Result<Created<T>> {
    let doing = format!("making {name}");
    let tx = begin(connection, &doing)?;
    if insert(&tx).map_err(fault(&doing))? == 1 {
        commit(tx, &doing)?;
        return Ok(Created::Now);
    }
    match read(&tx)? {
        Some(text) => from_text(name, &text).map(Created::Before),
        None => Err(Error::new(ErrorKind::Corrupt, format!("{LABEL}: {name} is neither there nor can it be made"))),
    }
}

/// A record that is to take the place of the one before.
struct New {
    name: String,
    revision: u64,
    epoch: u64,
    text: String,
}

/// Puts a record in the place of the one that `read` finds, by `write`, if it may follow that one.
fn update(
    connection: &mut Connection,
    new: &New,
    read: impl FnOnce(&Connection) -> Result<Option<String>>,
    write: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Stored> {
    let doing = format!("writing {}", new.name);
    let tx = begin(connection, &doing)?;
    let Some(before) = read(&tx)? else { return Ok(Stored::Mismatch) };
    if before == new.text {
        // Written before, without an answer that arrived.
        return Ok(Stored::Done);
    }
    if !from_text::<Standing>(&new.name, &before)?.is_before(new.revision, new.epoch) {
        return Ok(Stored::Mismatch);
    }
    write(&tx).map_err(fault(&doing))?;
    commit(tx, &doing)?;
    Ok(Stored::Done)
}

#[async_trait]
impl CheckpointStore for SqliteCheckpoints {
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        let (id, name) = (record.id.clone(), transfer_name(&record.id));
        let (new, created) = (to_text(&name, record)?, record.created_at.micros());
        self.change(move |connection| {
            let insert = |connection: &Connection| {
                let sql = "INSERT INTO transfers (id, created, record) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                connection.prepare_cached(sql)?.execute(params![id.as_str(), created, new])
            };
            create(connection, &name, insert, |connection| transfer_text(connection, &id))
        })
        .await
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        let id = id.clone();
        self.look(None, move |connection| {
            transfer_text(connection, &id)?.map(|text| from_text(&transfer_name(&id), &text)).transpose()
        })
        .await
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        let (id, name) = (record.id.clone(), transfer_name(&record.id));
        let text = to_text(&name, record)?;
        let new = New { name, revision: record.revision, epoch: 0, text };
        self.change(move |connection| {
            let write = |connection: &Connection| {
                let sql = "UPDATE transfers SET record = ?2 WHERE id = ?1";
                connection.prepare_cached(sql)?.execute([id.as_str(), &new.text]).map(drop)
            };
            update(connection, &new, |connection| transfer_text(connection, &id), write)
        })
        .await
    }

    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        let of = of.to_vec();
        self.look(Vec::new(), move |connection| {
            // All of them: the state is in the record, and one machine has few.
            let all = if of.is_empty() { i64::try_from(limit).unwrap_or(i64::MAX) } else { -1 };
            let read = || -> rusqlite::Result<Vec<(String, String)>> {
                let sql = "SELECT id, record FROM transfers ORDER BY created DESC, id LIMIT ?1";
                let mut statement = connection.prepare_cached(sql)?;
                statement.query_map([all], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            };
            let rows = read().map_err(fault("listing the transfers"))?;
            let records = rows.iter().map(|(id, text)| from_text(&format!("the transfer {id}"), text));
            let is_wanted = |record: &Result<TransferRecord>| {
                of.is_empty() || record.as_ref().map_or(true, |record| of.contains(&record.state))
            };
            records.filter(is_wanted).take(limit).collect()
        })
        .await
    }

    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        let (id, shard) = (record.transfer.clone(), record.shard.clone());
        let name = shard_name(&id, &shard);
        let new = to_text(&name, record)?;
        self.change(move |connection| {
            let insert = |connection: &Connection| {
                let sql = "INSERT INTO shards (transfer, shard, record) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                connection.prepare_cached(sql)?.execute([id.as_str(), shard.as_str(), &new])
            };
            create(connection, &name, insert, |connection| shard_text(connection, &id, &shard))
        })
        .await
    }

    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        let (id, shard) = (id.clone(), shard.clone());
        self.look(None, move |connection| {
            let text = shard_text(connection, &id, &shard)?;
            text.map(|text| from_text(&shard_name(&id, &shard), &text)).transpose()
        })
        .await
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        let (id, shard) = (record.transfer.clone(), record.shard.clone());
        let name = shard_name(&id, &shard);
        let text = to_text(&name, record)?;
        let page = |(destination, page): &(DestinationName, LedgerPage)| {
            Ok((destination.clone(), page.index, to_text(&format!("a page of {name}"), page)?))
        };
        let pages = pages.iter().map(page).collect::<Result<Vec<_>>>()?;
        let new = New { name, revision: record.revision, epoch: record.epoch, text };
        self.change(move |connection| {
            let write = |connection: &Connection| {
                let sql = "UPDATE shards SET record = ?3 WHERE transfer = ?1 AND shard = ?2";
                connection.prepare_cached(sql)?.execute([id.as_str(), shard.as_str(), &new.text])?;
                let sql = "INSERT INTO pages (transfer, shard, destination, page, record) VALUES (?1, ?2, ?3, ?4, ?5)
                    ON CONFLICT DO UPDATE SET record = excluded.record";
                let mut statement = connection.prepare_cached(sql)?;
                pages.iter().try_for_each(|(destination, index, text)| {
                    let row = params![id.as_str(), shard.as_str(), destination.as_str(), index, text];
                    statement.execute(row).map(drop)
                })
            };
            update(connection, &new, |connection| shard_text(connection, &id, &shard), write)
        })
        .await
    }

    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        let (id, shard, destination) = (id.clone(), shard.clone(), destination.clone());
        self.look(Vec::new(), move |connection| {
            let name = format!("the ledger of {}", shard_name(&id, &shard));
            let read = || -> rusqlite::Result<Vec<String>> {
                let sql =
                    "SELECT record FROM pages WHERE transfer = ?1 AND shard = ?2 AND destination = ?3 AND page < ?4
                    ORDER BY page";
                let mut statement = connection.prepare_cached(sql)?;
                let key = params![id.as_str(), shard.as_str(), destination.as_str(), pages];
                statement.query_map(key, |row| row.get(0))?.collect()
            };
            let rows = read().map_err(fault(&format!("reading {name}")))?;
            rows.iter().map(|text| from_text(&name, text)).collect()
        })
        .await
    }

    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        let (id, shard) = (id.clone(), shard.clone());
        self.change(move |connection| {
            let doing = format!("dropping the ledger of {}", shard_name(&id, &shard));
            let tx = begin(connection, &doing)?;
            let sql = "DELETE FROM pages WHERE transfer = ?1 AND shard = ?2";
            let drop = || tx.prepare_cached(sql)?.execute([id.as_str(), shard.as_str()]);
            match drop().map_err(fault(&doing))? {
                0 => Ok(()),
                _ => commit(tx, &doing),
            }
        })
        .await
    }

    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        let (stream, writer) = (stream.to_string(), writer.clone());
        self.change(move |connection| {
            let doing = format!("reserving {stream}");
            let tx = begin(connection, &doing)?;
            let insert = || {
                let sql = "INSERT INTO writers (stream, writer) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
                tx.prepare_cached(sql)?.execute([stream.as_str(), writer.as_str()])
            };
            if insert().map_err(fault(&doing))? == 1 {
                commit(tx, &doing)?;
                return Ok(WriterAnswer::Held);
            }
            let read = || {
                let sql = "SELECT writer FROM writers WHERE stream = ?1";
                tx.prepare_cached(sql)?.query_row([stream.as_str()], |row| row.get::<_, String>(0))
            };
            let holder: TransferId = read().map_err(fault(&doing))?.parse().map_err(|error| {
                Error::with(ErrorKind::Corrupt, format!("{LABEL}: who holds {stream} is not a transfer"), error)
            })?;
            Ok(if holder == writer { WriterAnswer::Held } else { WriterAnswer::HeldBy(holder) })
        })
        .await
    }

    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        let (stream, writer) = (stream.to_string(), writer.clone());
        self.change(move |connection| {
            let doing = format!("releasing {stream}");
            let tx = begin(connection, &doing)?;
            let sql = "DELETE FROM writers WHERE stream = ?1 AND writer = ?2";
            let release = || tx.prepare_cached(sql)?.execute([stream.as_str(), writer.as_str()]);
            match release().map_err(fault(&doing))? {
                0 => Ok(()),
                _ => commit(tx, &doing),
            }
        })
        .await
    }

    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        let stream = stream.clone();
        self.look(None, move |connection| {
            readers_text(connection, &stream)?.map(|text| from_text(&readers_name(&stream), &text)).transpose()
        })
        .await
    }

    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        let (stream, name) = (record.stream.clone(), readers_name(&record.stream));
        let text = to_text(&name, record)?;
        let new = New { name, revision: record.revision, epoch: 0, text };
        self.change(move |connection| {
            let row = (stream.to_string(), &new.text);
            if new.revision == 1 {
                let doing = format!("making {}", new.name);
                let tx = begin(connection, &doing)?;
                if readers_text(&tx, &stream)?.is_none() {
                    let insert = || {
                        tx.execute_batch(READERS)?;
                        let sql = "INSERT INTO readers (stream, record) VALUES (?1, ?2)";
                        tx.prepare_cached(sql)?.execute(params![row.0, row.1]).map(drop)
                    };
                    insert().map_err(fault(&doing))?;
                    return commit(tx, &doing).map(|()| Stored::Done);
                }
            }
            let write = |connection: &Connection| {
                let sql = "UPDATE readers SET record = ?2 WHERE stream = ?1";
                connection.prepare_cached(sql)?.execute(params![row.0, row.1]).map(drop)
            };
            update(connection, &new, |connection| readers_text(connection, &stream), write)
        })
        .await
    }
}

#[async_trait]
impl TransferRemoval for SqliteCheckpoints {
    async fn remove_transfer(&self, id: &TransferId, revision: u64) -> Result<bool> {
        let id = id.clone();
        self.change(move |connection| remove(connection, &id, revision)).await
    }
}

/// All records of a transfer in one transaction, if it has that revision; answers whether it was there.
fn remove(connection: &mut Connection, id: &TransferId, revision: u64) -> Result<bool> {
    let name = transfer_name(id);
    let doing = format!("removing {name}");
    let tx = begin(connection, &doing)?;
    let stored = transfer_text(&tx, id)?.map(|text| from_text::<Standing>(&name, &text)).transpose()?;
    match stored {
        None => return Ok(false),
        Some(stored) if stored.revision != revision => {
            let what = format!("{LABEL}: {name} was changed meanwhile");
            return Err(Error::new(ErrorKind::Changed, what));
        }
        Some(_) => {}
    }
    for sql in [
        "DELETE FROM pages WHERE transfer = ?1",
        "DELETE FROM shards WHERE transfer = ?1",
        "DELETE FROM transfers WHERE id = ?1",
    ] {
        tx.execute(sql, [id.as_str()]).map_err(fault(&doing))?;
    }
    commit(tx, &doing)?;
    Ok(true)
}
