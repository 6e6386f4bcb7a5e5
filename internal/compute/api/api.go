// Package api is Nova's API on top of compute: version 2.1 with microversions
// up to 2.104.
//
// Each resource has a file with its routes in the order of the public
// reference, its requests and its views. A view is always in the newest shape;
// the tags since and until at its fields say which microversions have them.
package api

import (
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
)

// The microversions that are spoken.
var (
	minVersion = api.V(2, 1)
	maxVersion = api.V(2, 104)
)

// New describes the service for the kernel.
func New(service *compute.Service) api.Service {
	h := handlers{service}
	return api.Service{
		Name: "nova", Type: "compute", Mount: "/compute/v2.1", Spec: "/v2.1", ProjectInPath: true,
		Versions: &api.Microversions{Word: "compute", Legacy: "X-OpenStack-Nova-API-Version", Min: minVersion, Max: maxVersion},
		Envelope: api.Nova, Strict: api.V(2, 102),
		Routes: withQueries(slices.Concat(versionRoutes(), h.serverRoutes(), h.metadataRoutes(), h.tagRoutes(), h.actionRoutes(), h.lifeRoutes(), h.migrationRoutes(), h.shelveRoutes(), h.guestRoutes(), h.shareRoutes(), h.outsideRoutes(), h.consoleRoutes(), h.addressRoutes(),
			h.historyRoutes(), h.volumeRoutes(), h.interfaceRoutes(), h.imageProxyRoutes(), h.volumeProxyRoutes(), h.groupProxyRoutes(), h.floatingProxyRoutes(), h.networkProxyRoutes(), h.flavorRoutes(), h.keypairRoutes(),
			h.quotaRoutes(), h.usageRoutes(), h.hostRoutes(), h.oldHostRoutes(), h.groupRoutes(), h.aggregateRoutes(), h.extensionRoutes())),
		Removed: removedRoutes(),
	}
}

type handlers struct{ compute *compute.Service }

// scope is the project whose things the caller may find: its own, or any for
// an admin.
func scope(c *api.Call) string {
	if c.May("context_is_admin", auth.Target{}) {
		return ""
	}
	// A token without a project finds nothing.
	if c.Caller.Project == "" {
		return "-"
	}
	return c.Caller.Project
}

// inProject authorizes the making of something that a project will own, which
// takes a token of a project.
func inProject(c *api.Call) error {
	if c.Caller.Project == "" {
		return api.Nova.Forbidden(c.Route().Rule)
	}
	return c.AuthorizeOwn()
}

// of is the target of a call about a server.
func of(server compute.Server) auth.Target {
	return auth.Target{Project: server.Project, User: server.UserID}
}

// act describes the request for a use case about a server, after the call was
// authorized.
func act(c *api.Call, server compute.Server) compute.Act {
	return compute.Act{
		Server: server.ID, Project: server.Project, User: c.Caller.User, By: c.Caller.Project, Request: c.RequestID(),
		Admin: c.May("os_compute_api:os-lock-server:unlock:unlock_override", of(server)),
	}
}

// server finds the call's server and authorizes the call for it.
func (h handlers) server(c *api.Call) (compute.Server, error) {
	server, err := h.compute.Server(c.Context(), scope(c), c.PathValue("server_id"))
	if err != nil {
		return compute.Server{}, err
	}
	c.Log("server_id", server.ID)
	return server, c.Authorize(of(server))
}

// uuidLike tells whether a text has the form of a UUID.
func uuidLike(id string) bool { return len(strings.ReplaceAll(id, "-", "")) == 32 }

// links are the two links of a resource: with the version in the path, and
// without.
func links(c *api.Call, path string) []api.Link {
	return []api.Link{{Rel: "self", Href: c.URL(path)}, bookmark(c, path)}
}

func bookmark(c *api.Call, path string) api.Link {
	return api.Link{Rel: "bookmark", Href: c.Base() + "/compute" + path}
}

// pageSince is the page that is asked for of a list that has pages since a microversion.
// Before it the list has none, whatever is asked for.
func pageSince(c *api.Call, since api.Version, list api.List) (db.Page, error) {
	if c.Version < since {
		return db.Page{}, nil
	}
	return c.Page(list)
}

// next is the link to the page behind the last row, nil when there is none.
func next(c *api.Call, more bool, last string) []api.Link {
	if !more {
		return nil
	}
	return []api.Link{{Rel: "next", Href: c.PageURL(last, false)}}
}
