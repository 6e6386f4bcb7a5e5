-- +goose Up

-- Who has come from identity providers (internal/identity/federated.go): as whom a
-- provider knows a user of ours, the groups that it named last, and the answers
-- of providers that were used already.
CREATE TABLE federated_users (
    idp_id      TEXT NOT NULL,
    protocol_id TEXT NOT NULL,
    unique_id   TEXT NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (idp_id, protocol_id, unique_id),
    FOREIGN KEY (idp_id, protocol_id) REFERENCES federation_protocols (idp_id, id) ON DELETE CASCADE
);
CREATE INDEX federated_users_user ON federated_users (user_id);
CREATE TABLE federated_members (
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id    TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    idp_id      TEXT NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    verified_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, group_id, idp_id)
);
CREATE INDEX federated_members_group ON federated_members (group_id);
CREATE INDEX federated_members_idp ON federated_members (idp_id);
CREATE TABLE federation_answers (
    id         TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX federation_answers_expiry ON federation_answers (expires_at);
