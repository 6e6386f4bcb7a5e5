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
	Inventories map[string]setInventoriesRequest `json:"inventories" check:"required"`
	Allocations map[string]allocationBody        `json:"allocations" check:"required"`
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
		want, err := r.inventories(c)
		if err != nil {
			return err
		}
		shapes[id] = placement.Shape{Generation: *r.Generation, Inventories: want}
	}
	var claims []placement.Claim
	for id, body := range in.Allocations {
		claim, err := body.claim(c, id)
		if err != nil {
			return err
		}
		claims = append(claims, claim)
	}
	return h.placement.Reshape(c.Context(), shapes, claims)
}
