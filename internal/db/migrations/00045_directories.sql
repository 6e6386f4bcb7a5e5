-- +goose Up

-- Users and groups whom a domain's directory knows (internal/identity/realm.go).
-- Each has a row of users or user_groups too, which says what the directory said
-- when it was last asked.
CREATE TABLE id_mapping (
    public_id   TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    entity_type TEXT NOT NULL, -- user, group
    local_id    TEXT NOT NULL, -- what the directory calls it; base64 after base64: where that is no text
    gone        BOOLEAN NOT NULL DEFAULT FALSE, -- the directory did not know it any more
    UNIQUE (domain_id, entity_type, local_id)
);
