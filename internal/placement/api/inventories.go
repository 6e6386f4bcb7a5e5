package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

func (h handlers) inventoryRoutes() []api.Route {
	const all = "/resource_providers/{uuid}/inventories"
	return []api.Route{
		{Method: "GET", Path: all, Rule: "placement:resource_providers:inventories:list", Do: api.Get(h.listInventories)},
		{Method: "PUT", Path: all, Rule: "placement:resource_providers:inventories:update", Do: api.Body(h.setInventories)},
		{Method: "DELETE", Path: all, Since: api.V(1, 5), Rule: "placement:resource_providers:inventories:delete", OK: 204, Do: api.Empty(h.deleteInventories)},
		{Method: "GET", Path: all + "/{resource_class}", Rule: "placement:resource_providers:inventories:show", Do: api.Get(h.showInventory)},
		{Method: "PUT", Path: all + "/{resource_class}", Rule: "placement:resource_providers:inventories:update", Do: api.Body(h.setInventory)},
		{Method: "DELETE", Path: all + "/{resource_class}", Rule: "placement:resource_providers:inventories:delete", OK: 204, Do: api.Empty(h.deleteInventory)},
	}
}

type inventoryView struct {
	Total    int64   `json:"total"`
	Reserved int64   `json:"reserved"`
	MinUnit  int64   `json:"min_unit"`
	MaxUnit  int64   `json:"max_unit"`
	StepSize int64   `json:"step_size"`
	Ratio    float64 `json:"allocation_ratio"`
}

type inventoriesReply struct {
	Inventories map[string]inventoryView `json:"inventories"`
	Generation  int64                    `json:"resource_provider_generation"`
}

type inventoryReply struct {
	inventoryView
	Generation int64 `json:"resource_provider_generation"`
}

func viewInventory(i placement.Inventory) inventoryView {
	return inventoryView{i.Total, i.Reserved, i.MinUnit, i.MaxUnit, i.StepSize, i.Ratio}
}

func (h handlers) listInventories(c *api.Call) (inventoriesReply, error) {
	err := allowed(c)
	if err != nil {
		return inventoriesReply{}, err
	}
	return h.inventories(c)
}

func (h handlers) inventories(c *api.Call) (inventoriesReply, error) {
	p, stock, err := h.placement.Inventories(c.Context(), c.PathValue("uuid"))
	reply := inventoriesReply{Inventories: map[string]inventoryView{}, Generation: p.Generation}
	for class, i := range stock {
		reply.Inventories[class] = viewInventory(i)
	}
	fresh(c, c.Now())
	return reply, err
}

type inventoryRequest struct {
	Total    int64    `json:"total" check:"required,min=1,max=2147483647"`
	Reserved int64    `json:"reserved" check:"min=0,max=2147483647"`
	MinUnit  int64    `json:"min_unit" check:"min=1,max=2147483647"`
	MaxUnit  int64    `json:"max_unit" check:"min=1,max=2147483647"`
	StepSize int64    `json:"step_size" check:"min=1,max=2147483647"`
	Ratio    *float64 `json:"allocation_ratio"`
}

func (r inventoryRequest) inventory(c *api.Call) (placement.Inventory, error) {
	i := placement.Inventory{Total: r.Total, Reserved: r.Reserved, MinUnit: r.MinUnit, MaxUnit: r.MaxUnit, StepSize: r.StepSize}
	if r.Ratio != nil {
		i.Ratio = *r.Ratio
	}
	if i.Reserved > i.Total || (i.Reserved == i.Total && c.Version < api.V(1, 26)) {
		return i, errs.BadRequestf("Unable to update inventory: The reserved value must be less than the total.")
	}
	return i, nil
}

type setInventoriesRequest struct {
	Generation  *int64                      `json:"resource_provider_generation" check:"required"`
	Inventories map[string]inventoryRequest `json:"inventories" check:"required"`
}

// inventories are what the provider is to have, for a generation that is given.
func (r setInventoriesRequest) inventories(c *api.Call) (map[string]placement.Inventory, error) {
	if r.Generation == nil {
		return nil, badGeneration()
	}
	want := map[string]placement.Inventory{}
	for class, one := range r.Inventories {
		i, err := one.inventory(c)
		if err != nil {
			return nil, err
		}
		want[class] = i
	}
	return want, nil
}

func (h handlers) setInventories(c *api.Call, in setInventoriesRequest) (inventoriesReply, error) {
	err := allowed(c)
	if err != nil {
		return inventoriesReply{}, err
	}
	want, err := in.inventories(c)
	if err != nil {
		return inventoriesReply{}, err
	}
	_, err = h.placement.SetInventories(c.Context(), c.PathValue("uuid"), *in.Generation, want)
	if err != nil {
		return inventoriesReply{}, err
	}
	return h.inventories(c)
}

func (h handlers) deleteInventories(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	_, err = h.placement.SetInventories(c.Context(), c.PathValue("uuid"), -1, map[string]placement.Inventory{})
	return err
}

func (h handlers) showInventory(c *api.Call) (inventoryReply, error) {
	err := allowed(c)
	if err != nil {
		return inventoryReply{}, err
	}
	return h.inventory(c, c.PathValue("resource_class"))
}

func (h handlers) inventory(c *api.Call, class string) (inventoryReply, error) {
	p, stock, err := h.placement.Inventories(c.Context(), c.PathValue("uuid"))
	if err != nil {
		return inventoryReply{}, err
	}
	i, has := stock[class]
	if !has {
		return inventoryReply{}, errs.NotFoundf("No inventory of class %s for %s", class, p.ID)
	}
	fresh(c, c.Now())
	return inventoryReply{viewInventory(i), p.Generation}, nil
}

type setInventoryRequest struct {
	inventoryRequest
	Generation *int64 `json:"resource_provider_generation" check:"required"`
}

func (h handlers) setInventory(c *api.Call, in setInventoryRequest) (inventoryReply, error) {
	err := allowed(c)
	if err != nil {
		return inventoryReply{}, err
	}
	return h.writeInventory(c, c.PathValue("resource_class"), in.inventoryRequest, in.Generation)
}

func (h handlers) writeInventory(c *api.Call, class string, r inventoryRequest, given *int64) (inventoryReply, error) {
	generation := int64(-1)
	if given != nil {
		generation = *given
	}
	i, err := r.inventory(c)
	if err != nil {
		return inventoryReply{}, err
	}
	_, err = h.placement.SetInventory(c.Context(), c.PathValue("uuid"), generation, class, i)
	if err != nil {
		return inventoryReply{}, err
	}
	return h.inventory(c, class)
}

func (h handlers) deleteInventory(c *api.Call) error {
	err := allowed(c)
	if err != nil {
		return err
	}
	return h.placement.DeleteInventory(c.Context(), c.PathValue("uuid"), c.PathValue("resource_class"))
}
