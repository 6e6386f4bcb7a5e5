package api

import (
	"net/http"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// The headers that pages of other origins may read of every reply.
var exposed = []string{
	"cache-control", "content-language", "content-type", "etag", "expires", "last-modified", "pragma",
	"x-openstack-request-id", "x-timestamp", "x-trans-id",
}

// allowedOrigin is what the container's metadata answers to an origin, "" for
// nothing.
func allowedOrigin(box *object.Container, origin string) string {
	if box == nil || origin == "" {
		return ""
	}
	origins := strings.Fields(box.Meta.V["access-control-allow-origin"])
	switch {
	case slices.Contains(origins, "*"):
		return "*"
	case slices.Contains(origins, origin):
		return origin
	}
	return ""
}

// cors lets the page that sent the request read the reply, when the container
// says so.
func (e *entry) cors() {
	origin := allowedOrigin(e.box, e.c.Header("Origin"))
	if origin == "" {
		return
	}
	e.c.SetHeader("Access-Control-Allow-Origin", origin)
	if origin != "*" {
		e.c.SetHeader("Vary", "Origin")
	}
	names := append(slices.Clone(exposed), strings.Fields(strings.ToLower(e.box.Meta.V["access-control-expose-headers"]))...)
	slices.Sort(names)
	e.c.SetHeader("Access-Control-Expose-Headers", strings.Join(slices.Compact(names), ", "))
}

// preflight answers whether a page of another origin may send a request.
func (h handlers) preflight(c *api.Call) (any, error) {
	p, err := at(c)
	if err != nil {
		return nil, err
	}
	methods := "HEAD, GET, PUT, POST, OPTIONS, DELETE"
	if p.Object != "" {
		methods = "HEAD, GET, PUT, POST, COPY, OPTIONS, DELETE"
	}
	c.SetHeader("Allow", methods)
	origin := c.Header("Origin")
	if origin == "" {
		return api.Reply{Status: http.StatusOK, ContentType: "text/html; charset=UTF-8"}, nil
	}
	box, err := h.store.Container(c.Context(), p.Account, p.Container)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	allowed := allowedOrigin(&box, origin)
	if allowed == "" || !slices.Contains(strings.Split(methods, ", "), c.Header("Access-Control-Request-Method")) {
		return nil, errs.Unauthorizedf("This server could not verify that you are authorized to access the document you requested.").With("Allow", methods)
	}
	c.SetHeader("Access-Control-Allow-Origin", allowed)
	c.SetHeader("Access-Control-Allow-Methods", methods)
	if allowed != "*" {
		c.SetHeader("Vary", "Origin")
	}
	if age := box.Meta.V["access-control-max-age"]; age != "" {
		c.SetHeader("Access-Control-Max-Age", age)
	}
	if asked := c.Header("Access-Control-Request-Headers"); asked != "" {
		c.SetHeader("Access-Control-Allow-Headers", asked)
	}
	return api.Reply{Status: http.StatusOK, ContentType: "text/html; charset=UTF-8"}, nil
}
