package api

import (
	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/network"
)

var addressScopeList = listed{"address_scopes", map[string]db.Filter{
	"id": {Column: "id"}, "project_id": {Column: "project_id"}, "tenant_id": {Column: "project_id"},
	"name": {Column: "name"}, "ip_version": {Column: "ip_version", Match: db.Number},
	"shared": byHandler,
}}

type addressScopeRequest struct {
	Scope struct {
		owner
		Name      string    `json:"name" check:"required,max=255"`
		IPVersion api.Int   `json:"ip_version" check:"required"`
		Shared    *api.Bool `json:"shared"`
	} `json:"address_scope" check:"required"`
}

type addressScopeChange struct {
	Scope struct {
		Name   *string   `json:"name" check:"max=255"`
		Shared *api.Bool `json:"shared"`
	} `json:"address_scope" check:"required"`
}

type addressScopeView struct {
	ID        string `json:"id"`
	Tenant    string `json:"tenant_id"`
	Project   string `json:"project_id"`
	Name      string `json:"name"`
	IPVersion int    `json:"ip_version"`
	Shared    bool   `json:"shared"`
}

func viewAddressScope(a network.AddressScope) any {
	return addressScopeView{ID: a.ID, Tenant: a.Project, Project: a.Project, Name: a.Name, IPVersion: a.IPVersion, Shared: a.Shared}
}

func (h handlers) findAddressScope(c *api.Call) (a network.AddressScope, rev int64, err error) {
	a, err = h.net.AddressScope(c.Context(), scope(c), c.PathValue("address_scope_id"))
	if err != nil {
		return a, 0, err
	}
	err = authorizeShared(c, a.Project, a.Shared, h.net.AddressScope, a.ID)
	if err != nil {
		return a, 0, err
	}
	rev, err = revision(c)
	return a, rev, err
}

func (h handlers) listAddressScopes(c *api.Call) (map[string]any, error) {
	return listOf(c, addressScopeList, h.net.AddressScopes, viewAddressScope)
}

func (h handlers) showAddressScope(c *api.Call) (map[string]any, error) {
	a, _, err := h.findAddressScope(c)
	if err != nil {
		return nil, err
	}
	return show(c, "address_scope", viewAddressScope(a)), nil
}

func (h handlers) createAddressScope(c *api.Call, in addressScopeRequest) (map[string]any, error) {
	b := in.Scope
	project, err := b.project(c)
	if err != nil {
		return nil, err
	}
	t := target(project, nil)
	err = c.Authorize(t)
	if err != nil {
		return nil, err
	}
	shared := b.Shared != nil && bool(*b.Shared)
	err = guard(c, shared, "create_address_scope:shared", t)
	if err != nil {
		return nil, err
	}
	err = checkVersion(int(b.IPVersion))
	if err != nil {
		return nil, err
	}
	a, err := h.net.CreateAddressScope(c.Context(), network.AddressScope{
		Common: network.Common{Project: project}, Name: b.Name, IPVersion: int(b.IPVersion), Shared: shared,
	})
	if err != nil {
		return nil, err
	}
	c.Log("address_scope_id", a.ID)
	return show(c, "address_scope", viewAddressScope(a)), nil
}

func (h handlers) updateAddressScope(c *api.Call, in addressScopeChange) (map[string]any, error) {
	a, rev, err := h.findAddressScope(c)
	if err != nil {
		return nil, err
	}
	err = guard(c, in.Scope.Shared != nil, "update_address_scope:shared", target(a.Project, nil))
	if err != nil {
		return nil, err
	}
	a, err = h.net.UpdateAddressScope(c.Context(), scope(c), a.ID, rev, network.AddressScopeChange{Name: in.Scope.Name, Shared: truth(in.Scope.Shared)})
	if err != nil {
		return nil, err
	}
	return show(c, "address_scope", viewAddressScope(a)), nil
}

func (h handlers) deleteAddressScope(c *api.Call) error {
	a, rev, err := h.findAddressScope(c)
	if err != nil {
		return err
	}
	return h.net.DeleteAddressScope(c.Context(), a.ID, rev)
}
