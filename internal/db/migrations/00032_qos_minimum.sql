-- +goose Up

-- What a policy asks for at least (internal/network).
ALTER TABLE qos_rules ADD COLUMN min_kbps BIGINT NOT NULL DEFAULT 0;
