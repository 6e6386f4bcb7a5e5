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

func (h handlers) addressScopes() resource[network.AddressScope] {
	return resource[network.AddressScope]{"address_scope", addressScopeList, h.findAddressScope, h.net.AddressScopes, plain(viewAddressScope), h.net.DeleteAddressScope}
}

func (h handlers) findAddressScope(c *api.Call) (network.AddressScope, error) {
	a, err := h.net.AddressScope(c.Context(), scope(c), c.PathValue("address_scope_id"))
	if err != nil {
		return a, err
	}
	return a, authorizeShared(c, a.Project, a.Shared, h.net.AddressScope, a.ID)
}

func (h handlers) createAddressScope(c *api.Call, in addressScopeRequest) (map[string]any, error) {
	b := in.Scope
	project, t, err := b.creates(c, "", nil, nil)
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
	return h.addressScopes().made(c, a, err)
}

func (h handlers) updateAddressScope(c *api.Call, in addressScopeChange) (map[string]any, error) {
	a, rev, err := h.addressScopes().change(c)
	if err != nil {
		return nil, err
	}
	err = guard(c, in.Scope.Shared != nil, "update_address_scope:shared", target(a.Project, nil))
	if err != nil {
		return nil, err
	}
	a, err = h.net.UpdateAddressScope(c.Context(), scope(c), a.ID, rev, network.AddressScopeChange{Name: in.Scope.Name, Shared: truth(in.Scope.Shared)})
	return h.addressScopes().shown(c, a, err)
}
