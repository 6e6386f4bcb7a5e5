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

func (h handlers) addressGroups() resource[network.AddressGroup] {
	return resource[network.AddressGroup]{"address_group", addressGroupList, h.findAddressGroup, h.net.AddressGroups, plain(viewAddressGroup), h.net.DeleteAddressGroup}
}

func (h handlers) findAddressGroup(c *api.Call) (network.AddressGroup, error) {
	a, err := h.net.AddressGroup(c.Context(), scope(c), c.PathValue("address_group_id"))
	if err != nil {
		return a, err
	}
	return a, authorizeShared(c, a.Project, a.Shared, h.net.AddressGroup, a.ID)
}

func (h handlers) createAddressGroup(c *api.Call, in addressGroupRequest) (map[string]any, error) {
	b := in.Group
	project, _, err := b.creates(c, "", nil, nil)
	if err != nil {
		return nil, err
	}
	a, err := h.net.CreateAddressGroup(c.Context(), project, text(b.Name), text(b.Description), b.Addresses)
	return h.addressGroups().made(c, a, err)
}

func (h handlers) updateAddressGroup(c *api.Call, in addressGroupChange) (map[string]any, error) {
	a, rev, err := h.addressGroups().change(c)
	if err != nil {
		return nil, err
	}
	a, err = h.net.UpdateAddressGroup(c.Context(), scope(c), a.ID, rev, network.AddressGroupChange(in.Group))
	return h.addressGroups().shown(c, a, err)
}

func (h handlers) addAddresses(c *api.Call, in addressesRequest) (map[string]any, error) {
	a, rev, err := h.addressGroups().change(c)
	if err != nil {
		return nil, err
	}
	a, err = h.net.AddAddresses(c.Context(), scope(c), a.ID, rev, in.list())
	return h.addressGroups().shown(c, a, err)
}

func (h handlers) removeAddresses(c *api.Call, in addressesRequest) (map[string]any, error) {
	a, rev, err := h.addressGroups().change(c)
	if err != nil {
		return nil, err
	}
	a, err = h.net.RemoveAddresses(c.Context(), scope(c), a.ID, rev, in.list())
	return h.addressGroups().shown(c, a, err)
}
