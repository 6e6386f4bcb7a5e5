-- +goose Up

-- What users let others do for them (internal/identity). An application
-- credential signs in as its user, with some roles, in one project.
CREATE TABLE application_credentials (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id   TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    secret_hash  TEXT NOT NULL,
    description  TEXT,
    expires_at   BIGINT NOT NULL DEFAULT 0,
    unrestricted BOOLEAN NOT NULL,
    role_ids     TEXT NOT NULL,
    UNIQUE (user_id, name)
);
CREATE INDEX application_credentials_project ON application_credentials (project_id);
-- A call that an application credential is good for. One with rules is good for
-- nothing else.
CREATE TABLE access_rules (
    id      TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    service TEXT NOT NULL,
    path    TEXT NOT NULL,
    method  TEXT NOT NULL,
    UNIQUE (user_id, service, path, method)
);
CREATE TABLE application_credential_rules (
    credential_id TEXT NOT NULL REFERENCES application_credentials (id) ON DELETE CASCADE,
    rule_id       TEXT NOT NULL REFERENCES access_rules (id),
    PRIMARY KEY (credential_id, rule_id)
);
CREATE INDEX application_credential_rules_rule ON application_credential_rules (rule_id);
-- The trustor lets the trustee act with some of the trustor's roles.
CREATE TABLE trusts (
    id                   TEXT PRIMARY KEY,
    trustor_user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    trustee_user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id           TEXT REFERENCES projects (id) ON DELETE CASCADE,
    impersonation        BOOLEAN NOT NULL,
    expires_at           BIGINT NOT NULL DEFAULT 0,
    remaining_uses       BIGINT, -- NULL is any number
    role_ids             TEXT NOT NULL,
    redelegated_trust_id TEXT REFERENCES trusts (id) ON DELETE CASCADE,
    redelegation_count   BIGINT NOT NULL,
    extra                TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX trusts_trustor ON trusts (trustor_user_id);
CREATE INDEX trusts_trustee ON trusts (trustee_user_id);
CREATE INDEX trusts_project ON trusts (project_id);
CREATE INDEX trusts_redelegated ON trusts (redelegated_trust_id);

-- Policies that services may fetch; Keystone itself doesn't read them.
CREATE TABLE policies (
    id    TEXT PRIMARY KEY,
    type  TEXT NOT NULL,
    blob  TEXT NOT NULL,
    extra TEXT NOT NULL DEFAULT '{}'
);
