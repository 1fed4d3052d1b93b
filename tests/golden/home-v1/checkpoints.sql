PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _config (
                key TEXT PRIMARY KEY,
                value TEXT NOT NULL
            );
INSERT INTO _config VALUES('schema_version','11');
CREATE TABLE _tables (
                table_name TEXT PRIMARY KEY,
                key_schema TEXT NOT NULL,
                attribute_definitions TEXT NOT NULL,
                gsi_definitions TEXT,
                lsi_definitions TEXT,
                stream_enabled INTEGER DEFAULT 0,
                stream_view_type TEXT,
                stream_label TEXT,
                ttl_attribute TEXT,
                ttl_enabled INTEGER DEFAULT 0,
                created_at INTEGER NOT NULL,
                table_status TEXT NOT NULL DEFAULT 'ACTIVE',
                billing_mode TEXT DEFAULT 'PAY_PER_REQUEST',
                provisioned_throughput TEXT,
                tags TEXT,
                sse_specification TEXT,
                table_class TEXT,
                deletion_protection_enabled INTEGER DEFAULT 0,
                on_demand_throughput TEXT,
                table_id TEXT,
                vector_index_definitions TEXT
            );
INSERT INTO _tables VALUES('sluice','[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]','[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"},{"AttributeName":"state","AttributeType":"S"},{"AttributeName":"createdAt","AttributeType":"N"}]','[{"IndexName":"byState","KeySchema":[{"AttributeName":"state","KeyType":"HASH"},{"AttributeName":"createdAt","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}}]',NULL,0,NULL,NULL,NULL,0,1795883495,'ACTIVE','PAY_PER_REQUEST',NULL,NULL,NULL,NULL,0,NULL,'e9f2fa97-63b6-4dba-8699-d6dc2dad113c',NULL);
CREATE TABLE _stream_records (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                table_name TEXT NOT NULL,
                event_name TEXT NOT NULL,
                keys_json TEXT NOT NULL,
                new_image TEXT,
                old_image TEXT,
                sequence_number TEXT NOT NULL,
                shard_id TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                user_identity TEXT,
                event_id TEXT
            );
CREATE TABLE IF NOT EXISTS "sluice" (
                pk TEXT NOT NULL,
                sk TEXT NOT NULL DEFAULT '',
                item_json TEXT NOT NULL,
                item_size INTEGER NOT NULL,
                cached_at REAL,
                hash_prefix TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (pk, sk)
            );
INSERT INTO sluice VALUES('S:transfer#e#shard#0','S:SHARD','{"shard":{"S":"0"},"version":{"N":"1"},"expected":{"M":{"bytes":{"N":"5"},"events":{"N":"5"}}},"pace":{"M":{"bytes_per_second":{"N":"178.571"},"at":{"N":"1795883495776381"}}},"pk":{"S":"transfer#e#shard#0"},"revision":{"N":"7"},"closed":{"N":"0"},"generation":{"N":"1"},"idleSlices":{"N":"0"},"sk":{"S":"SHARD"},"item":{"S":"SHARD"},"range":{"M":{"until":{"S":"after:4"},"from":{"S":"start"}}},"transfer":{"S":"e"},"epoch":{"N":"2"},"slices":{"N":"1"},"work":{"M":{"export":{"M":{"main":{"M":{"phase":{"S":"idle"},"segments":{"M":{"count":{"N":"1"},"digest":{"S":"dd56d0d2702881445278545d397b42c2dd12aa8f5d4dca58f0db8897b3ab8962"}}},"unlisted":{"L":[]},"objects":{"N":"1"},"sealed":{"S":"after:4"},"gaps":{"L":[]},"verified":{"N":"1"},"counts":{"M":{"bytes":{"N":"5"},"events":{"N":"5"}}},"incarnation":{"N":"0"},"highWater":{"M":{"bytes":{"N":"5"},"events":{"N":"5"}}}}}}}}}}',466,NULL,'c04fe1');
INSERT INTO sluice VALUES('S:transfer#e','S:META','{"execution":{"S":"local-29054"},"state":{"S":"COMPLETED"},"item":{"S":"META"},"kind":{"S":"export"},"id":{"S":"e"},"createdAt":{"N":"1795883495644602"},"manifest":{"M":{"key":{"S":"e/manifest.json"},"sha256":{"S":"1db641049834925c00adacc5f0564ed2bacc869bc4eacd03104d752434913a02"}}},"revision":{"N":"4"},"request":{"M":{"export":{"M":{"to":{"S":"dir:/archive"},"stream":{"S":"local:n"}}}}},"pk":{"S":"transfer#e"},"updatedAt":{"N":"1795883495842496"},"sk":{"S":"META"},"version":{"N":"2"},"wanted":{"S":"RUNNING"},"generation":{"N":"1"},"totals":{"M":{"gaps":{"N":"0"},"slices":{"N":"1"},"expected":{"M":{"bytes":{"N":"5"},"events":{"N":"5"}}},"moved":{"M":{"events":{"N":"5"},"bytes":{"N":"5"}}},"objects":{"N":"1"}}},"shards":{"L":[{"S":"0"}]},"config":{"M":{"export":{"M":{"destinations":{"M":{"main":{"M":{"bucket":{"S":"dir:/archive"},"partSize":{"N":"8388608"},"format":{"S":"avro"},"prefix":{"S":""},"objectSize":{"N":"268435456"},"compression":{"S":"zstd"}}}}},"stream":{"S":"local:n"}}}}}}',574,NULL,'fc47e9');
CREATE TABLE IF NOT EXISTS "sluice::gsi::byState" (
                gsi_pk TEXT NOT NULL,
                gsi_sk TEXT NOT NULL DEFAULT '',
                table_pk TEXT NOT NULL,
                table_sk TEXT NOT NULL DEFAULT '',
                item_json TEXT NOT NULL,
                PRIMARY KEY (gsi_pk, gsi_sk, table_pk, table_sk)
            );
INSERT INTO "sluice::gsi::byState" VALUES('S:COMPLETED','N:250161795883495644602000000000000000000000000','S:transfer#e','S:META','{"execution":{"S":"local-29054"},"state":{"S":"COMPLETED"},"item":{"S":"META"},"kind":{"S":"export"},"id":{"S":"e"},"createdAt":{"N":"1795883495644602"},"manifest":{"M":{"key":{"S":"e/manifest.json"},"sha256":{"S":"1db641049834925c00adacc5f0564ed2bacc869bc4eacd03104d752434913a02"}}},"revision":{"N":"4"},"request":{"M":{"export":{"M":{"to":{"S":"dir:/archive"},"stream":{"S":"local:n"}}}}},"pk":{"S":"transfer#e"},"updatedAt":{"N":"1795883495842496"},"sk":{"S":"META"},"version":{"N":"2"},"wanted":{"S":"RUNNING"},"generation":{"N":"1"},"totals":{"M":{"gaps":{"N":"0"},"slices":{"N":"1"},"expected":{"M":{"bytes":{"N":"5"},"events":{"N":"5"}}},"moved":{"M":{"events":{"N":"5"},"bytes":{"N":"5"}}},"objects":{"N":"1"}}},"shards":{"L":[{"S":"0"}]},"config":{"M":{"export":{"M":{"destinations":{"M":{"main":{"M":{"bucket":{"S":"dir:/archive"},"partSize":{"N":"8388608"},"format":{"S":"avro"},"prefix":{"S":""},"objectSize":{"N":"268435456"},"compression":{"S":"zstd"}}}}},"stream":{"S":"local:n"}}}}}}');
CREATE INDEX "sluice::gsi::byState::base_key" ON "sluice::gsi::byState" (table_pk, table_sk);
COMMIT;
