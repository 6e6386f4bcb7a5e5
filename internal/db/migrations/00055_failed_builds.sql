-- +goose Up

-- Builds that failed on a host since one worked there.
CREATE TABLE failed_builds (
    host TEXT PRIMARY KEY,
    n    BIGINT NOT NULL
);
