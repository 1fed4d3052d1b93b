//! Plans of imports whose rhythm cannot be kept.

use sluice_operations::{Code, OperationError};
use sluice_transfer::{ExportRequest, Format, ImportRequest, Pacing, Placement, Request, SourceFormat};

use super::stage::{Stage, events, import, paced};

fn refused(stage: &Stage, request: &Request) -> OperationError {
    let error = stage.plan(request).expect_err("a rhythm that cannot be kept");
    assert_eq!(error.code, Code::Invalid, "{}", error.message);
    assert!(error.message.starts_with("pace: ") && error.message.contains("pace max"), "{}", error.message);
    assert!(stage.clock.run(stage.engine.checkpoints.transfer(&stage.id)).unwrap().is_none(), "nothing is on record");
    error
}

#[test]
fn raw_objects_and_files_without_a_time_are_refused() {
    let stage = Stage::new(&[events([0, 1_000])]);
    let request = ExportRequest {
        format: Some(Format::Raw),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    stage.drive(&"export".parse().unwrap(), &Request::Export(request), &Pacing::default());
    let error = refused(&stage, &import("original"));
    assert!(error.message.contains("export the stream again with format avro or jsonl"), "{}", error.message);

    let stage = Stage::new(&[Vec::new()]);
    stage.bucket.put_foreign("export/a", "{\"n\":1}\n{\"n\":2}\n");
    let of = |format: Option<SourceFormat>, payload: Option<&str>| {
        let payload_field = payload.map(str::to_owned);
        Request::Import(ImportRequest { format, payload_field, ..paced("10x") })
    };
    for request in [
        of(None, None),
        of(Some(SourceFormat::Raw), None),
        of(Some(SourceFormat::Lines), None),
        of(Some(SourceFormat::Jsonl), Some("n")),
    ] {
        let error = refused(&stage, &request);
        assert!(error.message.contains("--time-field"), "{}", error.message);
    }
    // As fast as it goes they are taken.
    let request = ImportRequest { format: Some(SourceFormat::Lines), ..paced("max") };
    assert_eq!(stage.import(&Request::Import(request)).events, 2);
}

#[test]
fn shards_that_were_written_side_by_side_do_not_go_into_one() {
    let shards = [events([0, 60_000]), events([30_000, 90_000])];
    let by_key = Request::Import(ImportRequest { placement: Some(Placement::Key), ..paced("original") });
    let stage = Stage::exported(&shards, Format::Avro);
    let error = refused(&stage, &by_key);
    assert!(error.message.contains("as-source"), "{}", error.message);
    // Shard by shard they are taken, and one behind the other too.
    assert_eq!(stage.import(&import("original")).events, 4);
    let stage = Stage::exported(&[events([0, 60_000]), events([61_000, 90_000])], Format::Avro);
    let report = stage.import(&by_key);
    assert_eq!(report.events, 4);
    stage.check(1_000, 1);
}
