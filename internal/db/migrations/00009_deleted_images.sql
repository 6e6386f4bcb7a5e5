-- +goose Up

-- Ids of images that are gone. Clients may choose an image's id, and hosts keep
-- images by their id: an id that came back would show one user's bytes to another.
CREATE TABLE deleted_images (
    id         TEXT PRIMARY KEY,
    deleted_at BIGINT NOT NULL
);
