PRAGMA page_size = 4096;
PRAGMA application_id = 1399616835;
PRAGMA user_version = 1;
CREATE TABLE transfers (
    id TEXT NOT NULL PRIMARY KEY,
    created INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX transfers_by_age ON transfers (created DESC, id);
INSERT INTO transfers VALUES ('export', 1700000000000000, '{"version":2,"id":"export","revision":1,"kind":"export","state":"FAILED","wanted":"RUNNING","generation":1,"execution":"host-1","createdAt":1700000000000000,"updatedAt":1700000000000000,"request":{"export":{"stream":"local:orders","to":"dir:/archive/orders","format":"jsonl","compression":"gzip","from":"2026-11-21T00:00:00Z","until":"0@90","rate":1048576}},"config":{"export":{"stream":"local:orders","destinations":{"main":{"bucket":"dir:/archive","prefix":"orders","format":"jsonl","compression":"gzip","partSize":8388608,"objectSize":268435456}},"rate":1048576}},"shards":["0"],"totals":{"moved":{"events":0,"bytes":0},"objects":0,"slices":0,"gaps":0},"failure":{"code":"Denied","message":"it''s \"closed\"\n"},"rate":0,"restedMillis":86400000,"notes":["shard 0: until lies behind the stream''s end"]}');
INSERT INTO transfers VALUES ('import', 1700000000001000, '{"version":3,"id":"import","revision":1,"kind":"import","state":"TRANSFERRING","wanted":"RUNNING","generation":1,"execution":"host-1","createdAt":1700000000001000,"updatedAt":1700000000001000,"request":{"import":{"source":"dir:/incoming/","stream":"local:orders","format":"jsonl","payloadField":"order.body","timeField":"at","allFiles":true,"append":true}},"config":{"import":{"bucket":"dir:/incoming/","work":"dir:/work","list":"import/list.json","stream":"local:orders","format":"raw","foreign":{"format":"jsonl","inflate":true,"fields":{"payload":"order.body","time":"at"}},"eventSize":1048576,"largestEvent":10485760,"pack":false,"time":1700000000000000}},"shards":["0"],"totals":{"moved":{"events":0,"bytes":0},"objects":0,"slices":0,"gaps":0},"leftOut":{"link":{"count":1,"first":["current.log"]},"notUtf8":{"count":1,"first":["caf�"]}}}');
CREATE TABLE shards (
    transfer TEXT NOT NULL,
    shard TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (transfer, shard)
) STRICT;
INSERT INTO shards VALUES ('export', '0', '{"version":1,"transfer":"export","shard":"0","revision":2,"epoch":3,"generation":2,"closed":1,"owner":{"slice":"slice-1","leaseUntil":1700000060000000},"range":{"from":"start","until":"after:90"},"expected":{"events":91,"bytes":91000},"pace":{"bytes_per_second":1000.125,"at":1700000000009000,"known_millis":13999},"idleSlices":1,"slices":3,"work":{"export":{"main":{"sealed":"after:40","counts":{"events":41,"bytes":41000},"objects":1,"out":7000,"incarnation":0,"phase":"idle","segments":{"count":1,"digest":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},"unlisted":[],"gaps":[],"highWater":{"events":41,"bytes":41000},"verified":0}}}}');
INSERT INTO shards VALUES ('import', '0', '{"version":1,"transfer":"import","shard":"0","revision":1,"epoch":3,"generation":2,"closed":1,"owner":{"slice":"slice-1","leaseUntil":1700000060000000},"range":{"from":"start","until":"after:90"},"share":{"done":0.333333},"pace":{"bytes_per_second":0.0,"at":1700000000009000,"woken":true},"idleSlices":1,"slices":3,"work":{"import":{"entries":5,"cursor":{"entry":2,"offset":1048576,"within":7},"passed":9000,"check":{"entry":2,"from":8388608,"seen":"a1a055b7d4ef2682-4"},"tail":"after:30","unsettled":true,"counts":{"events":30,"bytes":3000},"lacking":{"payload":2,"time":30},"digest":"8230421300ffbb71-41","gaps":0,"segments":{"count":0,"digest":""},"marks":[{"source":{"entry":2,"offset":1048576,"within":7},"target":"after:29"}]}}}');
CREATE TABLE pages (
    transfer TEXT NOT NULL,
    shard TEXT NOT NULL,
    destination TEXT NOT NULL,
    page INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (transfer, shard, destination, page)
) STRICT;
INSERT INTO pages VALUES ('export', '0', 'main', 0, '{"version":1,"object":1,"incarnation":0,"index":0,"entries":[{"etag":"\"0123\"","checksum":"bfe9586f077593a1-4"}]}');
CREATE TABLE writers (
    stream TEXT NOT NULL PRIMARY KEY,
    writer TEXT NOT NULL
) STRICT;
INSERT INTO writers VALUES ('local:orders', 'import');
CREATE TABLE readers (
    stream TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
INSERT INTO readers VALUES ('local:orders', '{"version":1,"stream":"local:orders","revision":1,"readers":{"export":{"share":0.5,"taken":0.5,"until":1700000310000000}}}');
