-- Floors are forgotten by their age whenever one is made: there may be many.
-- +goose Up
CREATE INDEX token_floors_age ON token_floors (updated_at);
