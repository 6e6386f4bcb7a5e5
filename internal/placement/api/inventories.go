package api

import (
	"cmp"
	"math"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

func (h handlers) inventoryRoutes() []api.Route {
	const all = "/resource_providers/{uuid}/inventories"
	return []api.Route{
		{Method: "GET", Path: all, Rule: "placement:resource_providers:inventories:list", Do: api.Get(h.listInventories)},
		{Method: "POST", Path: all, Rule: "placement:resource_providers:inventories:create", OK: 201, Do: api.Body(h.addInventory)},
		{Method: "PUT", Path: all, Rule: "placement:resource_providers:inventories:update", Do: api.Body(h.setInventories)},
		{Method: "DELETE", Path: all, Since: api.V(1, 5), Rule: "placement:resource_providers:inventories:delete", OK: 204, Do: api.Empty(h.deleteInventories)},
		{Method: "DELETE", Path: all, Until: api.V(1, 4), Rule: "placement:resource_providers:inventories:delete", OK: 204, Do: api.Empty(notYet)},
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

// ratio is an allocation ratio: Placement keeps it as a float of 32 bits.
type ratio float64

// JSONSchema implements api.Schemer.
func (ratio) JSONSchema() map[string]any {
	return map[string]any{"type": "number", "maximum": math.MaxFloat32}
}

// inventoryRequest is an inventory as a request has it. The generation is known
// wherever one is sent, and looked at where it stands beside all else.
type inventoryRequest struct {
	Generation *generation `json:"resource_provider_generation" check:"notnull"`
	Total      int64       `json:"total" check:"required,min=1,max=2147483647"`
	Reserved   int64       `json:"reserved" check:"min=0,max=2147483647"`
	MinUnit    int64       `json:"min_unit" check:"min=1,max=2147483647"`
	MaxUnit    int64       `json:"max_unit" check:"min=1,max=2147483647"`
	StepSize   int64       `json:"step_size" check:"min=1,max=2147483647"`
	Ratio      *ratio      `json:"allocation_ratio"`
}

// inventory is what is asked for. Act is how an error calls it.
func (r inventoryRequest) inventory(c *api.Call, act, provider, class string) (placement.Inventory, error) {
	i := placement.Inventory{
		Total: r.Total, Reserved: r.Reserved, MinUnit: max(r.MinUnit, 1), MaxUnit: cmp.Or(r.MaxUnit, math.MaxInt32),
		StepSize: max(r.StepSize, 1), Ratio: 1,
	}
	if r.Ratio != nil {
		i.Ratio = float64(*r.Ratio)
	}
	least, than := int64(0), "greater than total."
	if c.Version < api.V(1, 26) {
		least, than = 1, "greater than or equal to total."
	}
	if i.Capacity() < least {
		return i, errs.BadRequestf("Unable to %s inventory for resource provider %s: Invalid inventory for '%s' on resource provider '%s'. "+
			"The reserved value is %s", act, provider, class, provider, than)
	}
	return i, nil
}

type setInventoriesRequest struct {
	Generation  generation                  `json:"resource_provider_generation" check:"required"`
	Inventories map[string]inventoryRequest `json:"inventories" check:"required"`
}

// inventories are what the provider is to have.
func (r setInventoriesRequest) inventories(c *api.Call, provider string) (map[string]placement.Inventory, error) {
	want := map[string]placement.Inventory{}
	for class, one := range r.Inventories {
		i, err := one.inventory(c, "update", provider, class)
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
	want, err := in.inventories(c, c.PathValue("uuid"))
	if err != nil {
		return inventoriesReply{}, err
	}
	_, err = h.placement.SetInventories(c.Context(), c.PathValue("uuid"), int64(in.Generation), want)
	if err != nil {
		return inventoriesReply{}, err
	}
	return h.inventories(c)
}

// notYet answers the one call whose method, not whose path, was unknown before.
func notYet(*api.Call) error {
	return errs.New(errs.MethodNotAllowed, "The method specified is not allowed for this resource.")
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

type addInventoryRequest struct {
	inventoryRequest
	Class string `json:"resource_class" check:"required,pattern=class"`
}

func (h handlers) addInventory(c *api.Call, in addInventoryRequest) (inventoryReply, error) {
	err := allowed(c)
	if err != nil {
		return inventoryReply{}, err
	}
	id := c.PathValue("uuid")
	i, err := in.inventory(c, "create", id, in.Class)
	if err != nil {
		return inventoryReply{}, err
	}
	_, err = h.placement.AddInventory(c.Context(), id, in.Class, i)
	if err != nil {
		return inventoryReply{}, err
	}
	c.SetHeader("Location", c.URL("/resource_providers/"+id+"/inventories/"+in.Class))
	return h.inventory(c, in.Class)
}

func (h handlers) setInventory(c *api.Call, in inventoryRequest) (inventoryReply, error) {
	err := allowed(c)
	if err != nil {
		return inventoryReply{}, err
	}
	if in.Generation == nil {
		return inventoryReply{}, badBody("required", "'resource_provider_generation' is a required property")
	}
	id, class := c.PathValue("uuid"), c.PathValue("resource_class")
	i, err := in.inventory(c, "update", id, class)
	if err != nil {
		return inventoryReply{}, err
	}
	_, err = h.placement.SetInventory(c.Context(), id, int64(*in.Generation), class, i)
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
