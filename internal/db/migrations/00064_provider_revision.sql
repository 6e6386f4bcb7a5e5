-- +goose Up

-- What grows with every change of a provider; the generation, which clients see, leaves some out.
ALTER TABLE resource_providers ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
