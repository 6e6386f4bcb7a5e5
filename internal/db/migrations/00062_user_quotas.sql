-- +goose Up

-- Limits of users within their project (internal/compute).
CREATE TABLE user_quotas (
    project  TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    resource TEXT NOT NULL,
    hard     BIGINT NOT NULL,
    PRIMARY KEY (project, user_id, resource)
);
