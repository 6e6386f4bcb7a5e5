package api

import (
	"context"

	"nacre/internal/api"
	"nacre/internal/auth"
)

// kind is a resource that is listed, shown and deleted as others are: the rule
// of the row decides who may, whatever the object.
type kind[T any] struct {
	one, many string // keys in bodies
	param     string // of the path
	view      func(c *api.Call, row T) any
	all       func(c *api.Call) ([]T, error)
	get       func(ctx context.Context, id string) (T, error)
	remove    func(ctx context.Context, id string) error
}

func (k kind[T]) list(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	rows, err := k.all(c)
	return many(c, k.many, k.view, rows, err)
}

func (k kind[T]) show(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	row, err := k.get(c.Context(), c.PathValue(k.param))
	return one(c, k.one, k.view, row, err)
}

func (k kind[T]) delete(c *api.Call) error {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return err
	}
	return k.remove(c.Context(), c.PathValue(k.param))
}

// made answers with what do has made or changed, if the caller may. The extra
// attributes of the request, whose known ones its type tells, are handed to it.
func (k kind[T]) made(c *api.Call, request any, do func(extra map[string]any) (T, error)) (map[string]any, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return nil, err
	}
	extra, err := extraOf(c, k.one, request)
	if err != nil {
		return nil, err
	}
	row, err := do(extra)
	return one(c, k.one, k.view, row, err)
}
