package api

import (
	"time"

	"nacre/internal/api"
)

// versionRoutes is the version document of 2.1. The ones above it, and that of
// 2.0, are outside of the negotiation: see Discovery.
func versionRoutes() []api.Route {
	one := api.Get(func(c *api.Call) (versionReply, error) { return versionReply{version21(c)}, nil })
	return []api.Route{
		{Method: "GET", Path: "", Public: true, Do: one},
		{Method: "GET", Path: "/", Public: true, Do: one},
	}
}

// Discovery lists the versions at the root of the API and shows 2.0, which old
// clients look for.
func Discovery() api.Service {
	all := api.Get(func(c *api.Call) (versionsReply, error) {
		return versionsReply{[]versionView{version20(c), version21(c)}}, nil
	})
	old := api.Get(func(c *api.Call) (versionReply, error) { return versionReply{version20(c)}, nil })
	return api.Service{
		Name: "nova", Type: "compute", Mount: "/compute", Spec: "", Envelope: api.Nova,
		Routes: []api.Route{
			{Method: "GET", Path: "", Public: true, Do: all},
			{Method: "GET", Path: "/", Public: true, Do: all},
			{Method: "GET", Path: "/v2", Public: true, Do: old},
			{Method: "GET", Path: "/v2/", Public: true, Do: old},
		},
	}
}

type versionsReply struct {
	Versions []versionView `json:"versions"`
}

type versionReply struct {
	Version versionView `json:"version"`
}

type versionView struct {
	ID         string      `json:"id"`
	Status     string      `json:"status"`
	Version    string      `json:"version"`
	MinVersion string      `json:"min_version"`
	Updated    time.Time   `json:"updated"`
	Links      []api.Link  `json:"links"`
	MediaTypes []mediaType `json:"media-types"`
}

type mediaType struct {
	Base string `json:"base"`
	Type string `json:"type"`
}

func version20(c *api.Call) versionView {
	return versionView{
		ID: "v2.0", Status: "SUPPORTED", Updated: time.Date(2011, 1, 21, 11, 33, 21, 0, time.UTC),
		Links:      []api.Link{{Rel: "self", Href: c.Base() + "/compute/v2/"}},
		MediaTypes: []mediaType{{"application/json", "application/vnd.openstack.compute+json;version=2"}},
	}
}

func version21(c *api.Call) versionView {
	return versionView{
		ID: "v2.1", Status: "CURRENT", Version: maxVersion.String(), MinVersion: minVersion.String(),
		Updated:    time.Date(2013, 7, 23, 11, 33, 21, 0, time.UTC),
		Links:      []api.Link{{Rel: "self", Href: c.Base() + "/compute/v2.1/"}},
		MediaTypes: []mediaType{{"application/json", "application/vnd.openstack.compute+json;version=2.1"}},
	}
}
