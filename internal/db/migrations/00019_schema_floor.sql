-- +goose Up

-- A program that does not know the schema up to this version refuses the database
-- (internal/db/migrate.go). Migrations add, and leave it alone. One that takes away
-- or renames what the version before still uses writes its own number here.
CREATE TABLE schema_floor (
    version INTEGER NOT NULL
);
INSERT INTO schema_floor (version) VALUES (0);
