-- +goose Up
-- The last passcode of a credential that somebody has signed in with, in steps
-- of 30 seconds since 1970: no passcode is good for two sign-ins.
CREATE TABLE passcodes_used (
    credential TEXT PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE,
    step       BIGINT NOT NULL
);
