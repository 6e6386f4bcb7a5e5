package api

import (
	"time"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

var addressGroupList = listed{"address_groups", columns(map[string]db.Filter{"name": {Column: "name"}, "shared": byHandler})}

type addressGroupRequest struct {
	Group struct {
		owner
		Name        *string  `json:"name" check:"max=255"`
		Description *string  `json:"description" check:"max=255"`
		Addresses   []string `json:"addresses" check:"nullable"`
	} `json:"address_group" check:"required"`
}

type addressGroupChange struct {
	Group struct {
		Name        *string `json:"name" check:"max=255"`
		Description *string `json:"description" check:"max=255"`
	} `json:"address_group" check:"required"`
}

// addressesRequest names ranges to add or remove. Clients send it in an envelope
// or without.
type addressesRequest struct {
	Addresses []string `json:"addresses"`
	Group     *struct {
		Addresses []string `json:"addresses" check:"required,min=1"`
	} `json:"address_group"`
}

func (r addressesRequest) list() []string {
	if r.Group != nil {
		return r.Group.Addresses
	}
	return r.Addresses
}

type addressGroupView struct {
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant_id"`
	Project     string    `json:"project_id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Addresses   []string  `json:"addresses"`
	Shared      bool      `json:"shared"`
	Revision    int64     `json:"revision_number"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func viewAddressGroup(a network.AddressGroup) any {
	return addressGroupView{
		ID: a.ID, Tenant: a.Project, Project: a.Project, Name: a.Name, Description: a.Description, Addresses: a.Addresses.V,
		Shared: a.Shared, Revision: a.Revision, CreatedAt: a.CreatedAt.Time(), UpdatedAt: a.UpdatedAt.Time(),
	}
}

// findAddressGroup finds the group in the path, and the revision that a change of
// it is conditional on.
func (h handlers) findAddressGroup(c *api.Call) (a network.AddressGroup, rev int64, err error) {
	a, err = h.net.AddressGroup(c.Context(), scope(c), c.PathValue("address_group_id"))
	if err != nil {
		return a, 0, err
	}
	err = authorizeShared(c, a.Project, a.Shared, h.net.AddressGroup, a.ID)
	if err != nil {
		return a, 0, err
	}
	rev, err = revision(c)
	return a, rev, err
}

func (h handlers) listAddressGroups(c *api.Call) (map[string]any, error) {
	return listOf(c, addressGroupList, h.net.AddressGroups, viewAddressGroup)
}

func (h handlers) showAddressGroup(c *api.Call) (map[string]any, error) {
	a, _, err := h.findAddressGroup(c)
	if err != nil {
		return nil, err
	}
	return show(c, "address_group", viewAddressGroup(a)), nil
}

func (h handlers) createAddressGroup(c *api.Call, in addressGroupRequest) (map[string]any, error) {
	b := in.Group
	project, err := b.project(c)
	if err != nil {
		return nil, err
	}
	err = c.Authorize(target(project, nil))
	if err != nil {
		return nil, err
	}
	a, err := h.net.CreateAddressGroup(c.Context(), project, text(b.Name), text(b.Description), b.Addresses)
	if err != nil {
		return nil, err
	}
	c.Log("address_group_id", a.ID)
	return show(c, "address_group", viewAddressGroup(a)), nil
}

func (h handlers) updateAddressGroup(c *api.Call, in addressGroupChange) (map[string]any, error) {
	a, rev, err := h.findAddressGroup(c)
	if err != nil {
		return nil, err
	}
	a, err = h.net.UpdateAddressGroup(c.Context(), scope(c), a.ID, rev, network.AddressGroupChange(in.Group))
	if err != nil {
		return nil, err
	}
	return show(c, "address_group", viewAddressGroup(a)), nil
}

func (h handlers) addAddresses(c *api.Call, in addressesRequest) (map[string]any, error) {
	a, rev, err := h.findAddressGroup(c)
	if err != nil {
		return nil, err
	}
	a, err = h.net.AddAddresses(c.Context(), scope(c), a.ID, rev, in.list())
	if err != nil {
		return nil, err
	}
	return show(c, "address_group", viewAddressGroup(a)), nil
}

func (h handlers) removeAddresses(c *api.Call, in addressesRequest) (map[string]any, error) {
	a, rev, err := h.findAddressGroup(c)
	if err != nil {
		return nil, err
	}
	a, err = h.net.RemoveAddresses(c.Context(), scope(c), a.ID, rev, in.list())
	if err != nil {
		return nil, err
	}
	return show(c, "address_group", viewAddressGroup(a)), nil
}

func (h handlers) deleteAddressGroup(c *api.Call) error {
	a, rev, err := h.findAddressGroup(c)
	if err != nil {
		return err
	}
	return h.net.DeleteAddressGroup(c.Context(), a.ID, rev)
}
