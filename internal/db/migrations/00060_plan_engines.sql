-- +goose Up

-- Engines that have plans (internal/work) say here that they are alive: once for
-- all plans, since to write each of thousands holds up everybody who writes.
CREATE TABLE plan_engines (
    owner TEXT PRIMARY KEY,
    lease BIGINT NOT NULL -- until when
);
