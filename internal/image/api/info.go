package api

import (
	"maps"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/image"
)

func (h handlers) infoRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/v2/cache", Rule: "cache_list", Do: api.Get(h.cacheState)},
		{Method: "PUT", Path: "/v2/cache/{image_id}", Rule: "cache_image", OK: 202, Do: api.Empty(h.cacheImage)},
		{Method: "DELETE", Path: "/v2/cache/{image_id}", Rule: "cache_delete", OK: 204, Do: api.Empty(h.dropCached)},
		{Method: "DELETE", Path: "/v2/cache", Rule: "cache_delete", OK: 204, Do: api.Empty(h.clearCache)},
		{Method: "POST", Path: "/v2/cache/clean", Rule: "cache_clean", Do: api.Empty(h.cleanCache)},
		{Method: "POST", Path: "/v2/cache/prune", Rule: "cache_prune", Do: api.Get(h.pruneCache)},
		{Method: "GET", Path: "/v2/info/import", Rule: "any", Do: api.Get(importInfo)},
		{Method: "GET", Path: "/v2/info/stores", Rule: "any", Do: api.Get(h.stores)},
		{Method: "GET", Path: "/v2/info/usage", Rule: "any", Do: api.Get(h.usage)},
		{Method: "GET", Path: "/v2/info/stores/detail", Rule: "stores_info_detail", Do: api.Get(h.storesDetail)},
	}
}

type importInfoView struct {
	Methods struct {
		Description string   `json:"description"`
		Type        string   `json:"type"`
		Value       []string `json:"value"`
	} `json:"import-methods"`
}

func importInfo(c *api.Call) (importInfoView, error) {
	v := importInfoView{}
	v.Methods.Description, v.Methods.Type, v.Methods.Value = "Import methods available.", "array", image.ImportMethods
	return v, c.AuthorizeOwn()
}

type storesView struct {
	Stores []map[string]any `json:"stores"`
}

func (h handlers) stores(c *api.Call) (reply storesView, err error) {
	for i, s := range h.images.Stores() {
		v := map[string]any{"id": s.ID}
		if s.Description != "" {
			v["description"] = s.Description
		}
		if i == 0 {
			v["default"] = "true"
		}
		reply.Stores = append(reply.Stores, v)
	}
	return reply, c.AuthorizeOwn()
}

func (h handlers) storesDetail(c *api.Call) (storesView, error) {
	reply, err := h.stores(c)
	for i, s := range h.images.Stores() {
		maps.Copy(reply.Stores[i], map[string]any{"type": s.Type, "properties": s.Properties, "weight": 0})
	}
	return reply, err
}

type usageView struct {
	Usage map[string]limitView `json:"usage"`
}

type limitView struct {
	Usage int64 `json:"usage"`
	Limit int64 `json:"limit"`
}

func (h handlers) usage(c *api.Call) (usageView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return usageView{}, err
	}
	usage, err := h.images.UsageOf(c.Context(), c.Caller.Project)
	reply := usageView{Usage: map[string]limitView{}}
	for name, u := range usage {
		reply.Usage[name] = limitView{u.Usage, u.Limit}
	}
	return reply, err
}

type cachedView struct {
	Image        string  `json:"image_id"`
	Hits         int64   `json:"hits"`
	LastAccessed float64 `json:"last_accessed"` // seconds since 1970
	LastModified float64 `json:"last_modified"`
	Size         int64   `json:"size"`
}

type cacheView struct {
	Cached []cachedView `json:"cached_images"`
	Queued []string     `json:"queued_images"`
}

func (h handlers) cacheState(c *api.Call) (reply cacheView, err error) {
	err = c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	list, err := h.images.CacheState(c.Context())
	for _, one := range list {
		if one.Blob == "" {
			reply.Queued = append(reply.Queued, one.Image)
			continue
		}
		reply.Cached = append(reply.Cached, cachedView{one.Image, one.Hits, seconds(one.UsedAt.Time()), seconds(one.UpdatedAt.Time()), one.Size})
	}
	return reply, err
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func (h handlers) cacheImage(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	return h.images.CacheImage(c.Context(), found)
}

func (h handlers) dropCached(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	err = h.images.DropCached(c.Context(), c.PathValue("image_id"))
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	_, err = h.find(c) // an image that is there and not cached is as it should be
	return err
}

func (h handlers) clearCache(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	switch strings.ToLower(c.Header("X-Image-Cache-Clear-Target")) {
	case "":
		return h.images.ClearCache(c.Context(), true, true)
	case "cache":
		return h.images.ClearCache(c.Context(), true, false)
	case "queue":
		return h.images.ClearCache(c.Context(), false, true)
	}
	return errs.BadRequestf("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.")
}

func (h handlers) cleanCache(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.images.CleanCache(c.Context())
}

type prunedView struct {
	Files int   `json:"total_files_pruned"`
	Bytes int64 `json:"total_bytes_pruned"`
}

func (h handlers) pruneCache(c *api.Call) (prunedView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return prunedView{}, err
	}
	files, bytes, err := h.images.PruneCache(c.Context())
	return prunedView{files, bytes}, err
}
