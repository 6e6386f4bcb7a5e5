package api

import (
	"nacre/internal/api"
)

// one is a reply with one object below its key.
func one[T any](c *api.Call, key string, view func(c *api.Call, row T) any, row T, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]any{key: view(c, row)}, nil
}

// many is a reply with a list below its key, and its links.
func many[T any](c *api.Call, key string, view func(c *api.Call, row T) any, rows []T, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	views := make([]any, 0, len(rows))
	for _, row := range rows {
		views = append(views, view(c, row))
	}
	return map[string]any{key: views, "links": links(c)}, nil
}
