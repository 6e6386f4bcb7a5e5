-- +goose Up

-- Where the processors and the memory of servers lie on their hosts, by the
-- consumer in placement (internal/compute/topology.go).
CREATE TABLE numa_claims (
    consumer TEXT PRIMARY KEY,
    host     TEXT NOT NULL,
    flavor   TEXT NOT NULL,
    topology TEXT NOT NULL
);
CREATE INDEX numa_claims_host ON numa_claims (host);
