//! What a table keeps of a transfer, and what is asked for, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_transfer::record::{LedgerPage, ShardRecord, TransferRecord};
use sluice_transfer::{ExportRequest, ImportRequest, Request};

/// Checkpoints.
pub fn records(bytes: &[u8]) {
    written_anew::<TransferRecord>(bytes);
    written_anew::<ShardRecord>(bytes);
    written_anew::<LedgerPage>(bytes);
}

/// Requests, alone and in their envelope.
pub fn requests(bytes: &[u8]) {
    written_anew::<ExportRequest>(bytes);
    written_anew::<ImportRequest>(bytes);
    written_anew::<Request>(bytes);
}

/// What was read and is written is read as the same value: a record goes through many such rounds, and one that
/// drifted would fail its own conditions.
fn written_anew<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_value(&value).expect("what was read can be written");
    let text = written.to_string();
    let again: T = serde_json::from_str(&text).expect("what was written is read");
    alike(&serde_json::to_value(&again).expect("it can be written"), &written);
}

/// The same, but for the last digit of fractions, which JSON's reader rounds quickly and not exactly. No decision hangs
/// on those: they are rates and shares for people.
fn alike(a: &Value, b: &Value) {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a.iter().zip(b).for_each(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.values().zip(b.values()).for_each(|(a, b)| alike(a, b));
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            assert!((a - b).abs() <= a.abs() * 1e-14, "{a} became {b}");
        }
        _ => assert_eq!(a, b, "it is read as another"),
    }
}
