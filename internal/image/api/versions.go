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

// offered are the minor versions, as Glance lists them with several stores and
// a cache.
var offered = []string{"v2.18", "v2.17", "v2.16", "v2.15", "v2.14", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8",
	"v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"}

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
