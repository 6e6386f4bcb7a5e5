-- +goose Up

-- Engines that have plans (internal/work) say here that they are alive: once for
-- all plans, since to write each of thousands holds up everybody who writes.
CREATE TABLE plan_engines (
    owner TEXT PRIMARY KEY,
    lease BIGINT NOT NULL -- until when
);

-- Of all plans ever, few are held, few are waiting for somebody who holds them, and
-- fewer were cancelled meanwhile.
DROP INDEX plans_owner;
CREATE INDEX plans_free ON plans (wake) WHERE owner = '' AND phase IN ('doing', 'undoing');
CREATE INDEX plans_held ON plans (owner, id) WHERE owner <> '';
CREATE INDEX plans_cancelled ON plans (owner) WHERE owner <> '' AND cancelled = 1;
