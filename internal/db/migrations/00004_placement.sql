-- +goose Up

-- Resource providers and what is claimed of them (internal/placement).
CREATE TABLE resource_providers (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    generation BIGINT NOT NULL,
    parent     TEXT NOT NULL DEFAULT '', -- '' for a root
    root       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX resource_providers_root ON resource_providers (root);

CREATE TABLE inventories (
    provider   TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    class      TEXT NOT NULL,
    total      BIGINT NOT NULL,
    reserved   BIGINT NOT NULL,
    min_unit   BIGINT NOT NULL,
    max_unit   BIGINT NOT NULL,
    step_size  BIGINT NOT NULL,
    ratio      DOUBLE PRECISION NOT NULL,
    used       BIGINT NOT NULL DEFAULT 0, -- sum of the allocations, kept in their transactions
    PRIMARY KEY (provider, class)
);

CREATE TABLE consumers (
    id         TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    project    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    type       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX consumers_project ON consumers (project, user_id);

CREATE TABLE allocations (
    consumer TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
    provider TEXT NOT NULL REFERENCES resource_providers (id),
    class    TEXT NOT NULL,
    used     BIGINT NOT NULL,
    PRIMARY KEY (consumer, provider, class)
);
CREATE INDEX allocations_provider ON allocations (provider);

CREATE TABLE provider_traits (
    provider TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    trait    TEXT NOT NULL,
    PRIMARY KEY (provider, trait)
);
CREATE INDEX provider_traits_trait ON provider_traits (trait);

CREATE TABLE provider_aggregates (
    provider  TEXT NOT NULL REFERENCES resource_providers (id) ON DELETE CASCADE,
    aggregate TEXT NOT NULL,
    PRIMARY KEY (provider, aggregate)
);
CREATE INDEX provider_aggregates_aggregate ON provider_aggregates (aggregate);

-- Names that people added to the standard ones.
CREATE TABLE custom_traits (name TEXT PRIMARY KEY, created_at BIGINT NOT NULL);
CREATE TABLE custom_classes (name TEXT PRIMARY KEY, created_at BIGINT NOT NULL);
