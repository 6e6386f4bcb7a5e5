-- +goose Up

-- Failed sign-ins of users who aren't there or are locked out are written down
-- like those of others, so that they take as long (internal/identity/compliance.go).
CREATE TABLE nobody (
    id              TEXT PRIMARY KEY,
    failed_attempts BIGINT NOT NULL,
    failed_at       BIGINT NOT NULL
);
INSERT INTO nobody (id, failed_attempts, failed_at) VALUES ('-', 0, 0);
