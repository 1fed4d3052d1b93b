//! Records of exports that say how their source is read, and of runs of a series.

use super::*;

#[test]
fn records_of_how_a_source_is_read_are_read_and_written_as_ever() {
    let (id, shard) = (id(), shard_id());
    let mut created = meta();
    let Config::Export(config) = &mut created.config else { panic!("an export") };
    config.source_created = Some(now().minus_millis(86_400_000));
    assert_eq!(created.version, 1, "an older version only checks less");
    golden("meta-source-created", Key::Meta(&id), &created);

    let mut kept = meta();
    let Config::Export(config) = &mut kept.config else { panic!("an export") };
    config.retention_millis = Some(86_400_000);
    assert_eq!(kept.version, 1, "an older version only says less");
    golden("meta-retention", Key::Meta(&id), &kept);

    let told = meta();
    let (Config::Export(config), Request::Export(request)) = (told.config, told.request) else { panic!() };
    let read_share = Some(ReadShare::new(0.3).unwrap());
    let request = Request::Export(ExportRequest { read_share, ..request });
    let config = Config::Export(ExportConfig { read_share, ..config });
    let mut told = TransferRecord::new(told.id, told.execution, request, config, told.shards, now());
    told.totals.left = Some(1);
    assert_eq!(told.version, 6);
    golden("meta-read-share", Key::Meta(&id), &told);

    let own = meta();
    let (Config::Export(config), Request::Export(request)) = (own.config, own.request) else { panic!() };
    let request = Request::Export(ExportRequest { read: Some(ReadMode::Fanout), ..request });
    let config = Config::Export(ExportConfig { reader: Some("sluice-export-2026-1f0c33ab".to_owned()), ..config });
    let own = TransferRecord::new(own.id, own.execution, request, config, own.shards, now());
    assert_eq!(own.version, 6);
    golden("meta-reader", Key::Meta(&id), &own);

    let stream: StreamUri = "kinesis:orders".parse().unwrap();
    let mut readers = ReadersRecord::new(stream.clone());
    let (until, waits_until) = (now().plus_millis(310_000), now().plus_millis(60_000));
    let seen_by = Some(now().plus_millis(15_000));
    let look = Look { share: ReadShare::HALF, now: now(), until, waits_until, seen_by };
    for reader in ["export-2025", "export-2026", "export-2025"] {
        readers.look(&reader.parse().unwrap(), look);
        readers.revision += 1;
    }
    golden("readers", Key::Readers(&stream), &readers);

    let mut times = TimeBounds::new(Some(now().minus_millis(90_000_000)), now());
    times.read(now().minus_millis(80_000_000));
    times.heard_nothing(&kinesis(8), now().minus_millis(10_000_000));
    times.retention_millis = Some(172_800_000);
    let range = Range { from: kinesis(0), until: Position::End };
    let parents = vec![shard_id()];
    let raised = ShardRecord { range, expected: None, times: Some(times), parents, ..export(2, 1, Vec::new()) };
    golden("shard-export-retention", Key::Shard(&id, &shard), &raised);
}

#[test]
fn records_of_a_run_of_a_series_are_read_and_written_as_ever() {
    let id = id();
    let run = meta();
    let (Config::Export(config), Request::Export(request)) = (run.config, run.request) else { panic!() };
    let series: SeriesName = "nightly".parse().unwrap();
    let begun = SeriesRun {
        series: series.clone(),
        number: 1,
        transfer: id.clone(),
        stream: config.stream.clone(),
        source_created: None,
        from: None,
        previous: None,
        host: HostName { id: "s3://work".to_owned(), place: "s3://work".to_owned() },
        execution: run.execution.clone(),
        created: now(),
        hole: None,
    };
    let request = Request::Export(ExportRequest { series: Some(series), ..request });
    let config = Config::Export(ExportConfig { series: Some(Box::new(begun)), ..config });
    let run = TransferRecord::new(run.id, run.execution, request, config, run.shards, now());
    assert_eq!(run.version, 8);
    golden("meta-series", Key::Meta(&id), &run);
}
