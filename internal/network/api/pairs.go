package api

import (
	"context"

	"nacre/internal/api"
	"nacre/internal/network"
)

// pairsRequest names address pairs to add or remove.
type pairsRequest struct {
	Port struct {
		Pairs []pairBody `json:"allowed_address_pairs" check:"required"`
	} `json:"port" check:"required"`
}

func (h handlers) addPairs(c *api.Call, in pairsRequest) (map[string]any, error) {
	return h.changePairs(c, in, h.net.AddPairs)
}

func (h handlers) removePairs(c *api.Call, in pairsRequest) (map[string]any, error) {
	return h.changePairs(c, in, h.net.RemovePairs)
}

func (h handlers) changePairs(c *api.Call, in pairsRequest, change func(context.Context, network.Scope, string, int64, []network.AddressPair) (network.Port, error)) (map[string]any, error) {
	p, _, err := h.findPort(c)
	if err != nil {
		return nil, err
	}
	rev, err := revision(c)
	if err != nil {
		return nil, err
	}
	p, err = change(c.Context(), scope(c), p.ID, rev, *pairs(&in.Port.Pairs))
	if err != nil {
		return nil, err
	}
	return show(c, "port", viewPort(c)(p)), nil
}
