package api

import (
	"net/http"

	"nacre/internal/api"
)

type versionView struct {
	ID     string     `json:"id"`
	Status string     `json:"status"`
	Links  []api.Link `json:"links"`
}

type versionsView struct {
	Versions []versionView `json:"versions"`
}

// offered are the minor versions that clients look for. They say which calls
// exist; 2.13 is what Glance of Zed says without further stores.
var offered = []string{"v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"}

func versions() []api.Route {
	list := api.Get(func(c *api.Call) (versionsView, error) {
		v := versionsView{}
		for i, id := range offered {
			status := "SUPPORTED"
			if i == 0 {
				status = "CURRENT"
			}
			v.Versions = append(v.Versions, versionView{id, status, []api.Link{{Rel: "self", Href: c.URL("/v2/")}}})
		}
		return v, nil
	})
	return []api.Route{
		{Method: "GET", Path: "", Public: true, OK: http.StatusMultipleChoices, Do: list},
		{Method: "GET", Path: "/", Public: true, OK: http.StatusMultipleChoices, Do: list},
		{Method: "GET", Path: "/versions", Public: true, Do: list},
		{Method: "GET", Path: "/v2", Public: true, OK: http.StatusMultipleChoices, Do: list},
		{Method: "GET", Path: "/v2/", Public: true, OK: http.StatusMultipleChoices, Do: list},
	}
}

// schemas tell clients which attributes an image has.
func schemas() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/v2/schemas/image", Rule: "any", Do: api.Get(func(c *api.Call) (map[string]any, error) {
			return imageSchema(), c.AuthorizeOwn()
		})},
		{Method: "GET", Path: "/v2/schemas/images", Rule: "any", Do: api.Get(func(c *api.Call) (map[string]any, error) {
			return map[string]any{
				"name": "images",
				"properties": map[string]any{
					"images": map[string]any{"type": "array", "items": imageSchema()},
					"first":  map[string]any{"type": "string"},
					"next":   map[string]any{"type": "string"},
					"schema": map[string]any{"type": "string"},
				},
				"links": []api.Link{{Rel: "first", Href: "{first}"}, {Rel: "next", Href: "{next}"}, {Rel: "describedby", Href: "{schema}"}},
			}, c.AuthorizeOwn()
		})},
	}
}

func imageSchema() map[string]any {
	properties, _ := createRequest{}.JSONSchema()["properties"].(map[string]any)
	for _, name := range readOnly {
		properties[name] = map[string]any{"readOnly": true}
	}
	return map[string]any{
		"name":                 "image",
		"properties":           properties,
		"additionalProperties": map[string]any{"type": "string"},
		"links":                []api.Link{{Rel: "self", Href: "{self}"}, {Rel: "enclosure", Href: "{file}"}, {Rel: "describedby", Href: "{schema}"}},
	}
}
