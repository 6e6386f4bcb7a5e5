package api

import (
	"nacre/internal/api"
	"nacre/internal/placement"
)

func (h handlers) reshaperRoutes() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/reshaper", Since: api.V(1, 30), Rule: "placement:reshaper:reshape", OK: 204, Do: api.Empty(h.reshape)},
	}
}

type reshapeRequest struct {
	Inventories map[string]setInventoriesRequest `json:"inventories" check:"required,min=1,keys=uuid36"`
	Allocations manyAllocations                  `json:"allocations" check:"required"`
}

func (h handlers) reshape(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	var in reshapeRequest
	err = c.Decode(&in)
	if err != nil {
		return err
	}
	shapes := map[string]placement.Shape{}
	for id, r := range in.Inventories {
		id = canonical(id)
		want, err := r.inventories(c, id)
		if err != nil {
			return err
		}
		shapes[id] = placement.Shape{Generation: int64(r.Generation), Inventories: want}
	}
	claims, err := in.Allocations.claims(c)
	if err != nil {
		return err
	}
	return h.placement.Reshape(c.Context(), shapes, claims)
}
