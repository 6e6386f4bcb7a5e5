-- +goose Up

-- How many changes of a provider its generation, which clients see, leaves out.
ALTER TABLE resource_providers ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
