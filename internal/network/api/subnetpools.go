package api

import (
	"strconv"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
	"nacre/internal/quota"
)

var subnetPoolList = listed{"subnetpools", columns(map[string]db.Filter{
	"name": {Column: "name"}, "ip_version": {Column: "ip_version", Match: db.Number}, "is_default": {Column: "is_default", Match: db.Flag},
	"address_scope_id": {Column: "address_scope_id"}, "default_prefixlen": {Column: "default_prefixlen", Match: db.Number},
	"min_prefixlen": {Column: "min_prefixlen", Match: db.Number}, "max_prefixlen": {Column: "max_prefixlen", Match: db.Number},
	"default_quota": {Column: "default_quota", Match: db.Number},
	"shared":        byHandler,
})}

type poolAttributes struct {
	Description  *string          `json:"description" check:"max=255"`
	Default      *api.Int         `json:"default_prefixlen"`
	Min          *api.Int         `json:"min_prefixlen"`
	Max          *api.Int         `json:"max_prefixlen"`
	Quota        api.Opt[api.Int] `json:"default_quota"`
	AddressScope api.Opt[string]  `json:"address_scope_id" check:"pattern=uuid"`
	IsDefault    *api.Bool        `json:"is_default"`
}

func (a poolAttributes) quota() *int64 {
	if !a.Quota.Set {
		return nil
	}
	n := int64(a.Quota.Or(quota.Unlimited))
	return &n
}

type poolRequest struct {
	Pool struct {
		owner
		poolAttributes
		Name     string    `json:"name" check:"required,max=255"`
		Prefixes []string  `json:"prefixes" check:"required"`
		Shared   *api.Bool `json:"shared"`
		Tags     []string  `json:"tags"`
	} `json:"subnetpool" check:"required"`
}

type poolChange struct {
	Pool struct {
		poolAttributes
		Name     *string   `json:"name" check:"max=255"`
		Prefixes *[]string `json:"prefixes"`
	} `json:"subnetpool" check:"required"`
}

// prefixesRequest names prefixes to add or remove. Clients send it in an envelope
// or without.
type prefixesRequest struct {
	Prefixes []string `json:"prefixes"`
	Pool     *struct {
		Prefixes []string `json:"prefixes" check:"required"`
	} `json:"subnetpool"`
}

func (r prefixesRequest) list() []string {
	if r.Pool != nil {
		return r.Pool.Prefixes
	}
	return r.Prefixes
}

type onboardRequest struct {
	Network *string `json:"network_id" check:"pattern=uuid"`
	Pool    *struct {
		Network string `json:"network_id" check:"required,pattern=uuid"`
	} `json:"subnetpool"`
}

type poolView struct {
	commonView
	Name         string   `json:"name"`
	IPVersion    int      `json:"ip_version"`
	Prefixes     []string `json:"prefixes"`
	Default      string   `json:"default_prefixlen"` // Neutron has numbers as text here
	Min          string   `json:"min_prefixlen"`
	Max          string   `json:"max_prefixlen"`
	Quota        *int64   `json:"default_quota"`
	AddressScope *string  `json:"address_scope_id"`
	IsDefault    bool     `json:"is_default"`
	Shared       bool     `json:"shared"`
}

func viewPool(p network.SubnetPool) any {
	v := poolView{
		commonView: viewCommon(p.Common), Name: p.Name, IPVersion: p.IPVersion, Prefixes: p.Prefixes.V, Default: strconv.Itoa(p.DefaultPrefixlen),
		Min: strconv.Itoa(p.MinPrefixlen), Max: strconv.Itoa(p.MaxPrefixlen), AddressScope: null(p.AddressScope), IsDefault: p.IsDefault, Shared: p.Shared,
	}
	if p.DefaultQuota != quota.Unlimited {
		v.Quota = &p.DefaultQuota
	}
	return v
}

// checkVersion refuses what is no version of IP.
func checkVersion(version int) error {
	if version != 4 && version != 6 {
		return errs.BadRequestf("Invalid input for ip_version. Reason: '%d' is not in [4, 6].", version).Typed("HTTPBadRequest")
	}
	return nil
}

func (h handlers) pools() resource[network.SubnetPool] {
	return resource[network.SubnetPool]{"subnetpool", subnetPoolList, h.findPool, h.net.SubnetPools, plain(viewPool), h.net.DeleteSubnetPool}
}

func (h handlers) findPool(c *api.Call) (network.SubnetPool, error) {
	p, err := h.net.SubnetPool(c.Context(), scope(c), c.PathValue("subnetpool_id"))
	if err != nil {
		return p, err
	}
	return p, authorizeShared(c, p.Project, p.Shared, h.net.SubnetPool, p.ID)
}

func (h handlers) createPool(c *api.Call, in poolRequest) (map[string]any, error) {
	b := in.Pool
	project, t, err := b.creates(c, "subnetpool", nil, b.Tags)
	if err != nil {
		return nil, err
	}
	shared, isDefault := b.Shared != nil && bool(*b.Shared), b.IsDefault != nil && bool(*b.IsDefault)
	err = guards(c, "create_subnetpool", t, map[string]bool{"shared": shared, "is_default": isDefault})
	if err != nil {
		return nil, err
	}
	p, err := h.net.CreateSubnetPool(c.Context(), scope(c), network.NewSubnetPool{
		Project: project, Name: b.Name, Description: text(b.Description), Tags: b.Tags, Prefixes: b.Prefixes,
		Default: number(b.Default), Min: number(b.Min), Max: number(b.Max), Quota: b.quota(), AddressScope: b.AddressScope.V,
		IsDefault: isDefault, Shared: shared,
	})
	return h.pools().made(c, p, err)
}

func (h handlers) updatePool(c *api.Call, in poolChange) (map[string]any, error) {
	p, rev, err := h.pools().change(c)
	if err != nil {
		return nil, err
	}
	b := in.Pool
	err = guard(c, b.IsDefault != nil, "update_subnetpool:is_default", target(p.Project, nil))
	if err != nil {
		return nil, err
	}
	change := network.SubnetPoolChange{
		Name: b.Name, Description: b.Description, Prefixes: b.Prefixes, Default: number(b.Default), Min: number(b.Min),
		Max: number(b.Max), Quota: b.quota(), IsDefault: truth(b.IsDefault),
	}
	if b.AddressScope.Set {
		change.AddressScope = &b.AddressScope.V // "" for null
	}
	p, err = h.net.UpdateSubnetPool(c.Context(), scope(c), p.ID, rev, change)
	return h.pools().shown(c, p, err)
}

type poolPrefixesView struct {
	Prefixes []string `json:"prefixes"`
}

func (h handlers) addPrefixes(c *api.Call, in prefixesRequest) (any, error) {
	p, rev, err := h.pools().change(c)
	if err != nil {
		return nil, err
	}
	p, err = h.net.AddPrefixes(c.Context(), scope(c), p.ID, rev, in.list())
	if err != nil {
		return nil, err
	}
	return poolPrefixesView{p.Prefixes.V}, nil
}

func (h handlers) removePrefixes(c *api.Call, in prefixesRequest) (any, error) {
	p, rev, err := h.pools().change(c)
	if err != nil {
		return nil, err
	}
	p, err = h.net.RemovePrefixes(c.Context(), scope(c), p.ID, rev, in.list())
	if err != nil {
		return nil, err
	}
	return poolPrefixesView{p.Prefixes.V}, nil
}

type onboardedView struct {
	ID   string `json:"id"`
	CIDR string `json:"cidr"`
}

func (h handlers) onboardSubnets(c *api.Call, in onboardRequest) (any, error) {
	p, err := h.findPool(c)
	if err != nil {
		return nil, err
	}
	id := text(in.Network)
	if in.Pool != nil {
		id = in.Pool.Network
	}
	_, subnets, err := h.net.OnboardSubnets(c.Context(), scope(c), p.ID, id)
	if err != nil {
		return nil, err
	}
	views := []onboardedView{}
	for _, sub := range subnets {
		views = append(views, onboardedView{sub.ID, sub.CIDR})
	}
	return views, nil
}
