// Package api is Swift's API on top of the object store.
//
// What Swift says, it says in headers: metadata, counters, conditions. The
// handlers here therefore read and write headers, and answer listings in the
// three forms that Swift knows: text, JSON and XML.
//
// Names are kept byte for byte. A path is unescaped before it is split, as
// Swift does: c%2Fo is the object o in the container c, and a container with a
// slash behind it is still the container.
//
// A header that asks for something we do not have (expiry, large object
// manifests, links, versions, access lists) is refused, never ignored.
package api

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// New describes the service for the kernel.
func New(store *object.Service) api.Service {
	h := handlers{store}
	return api.Service{Name: "swift", Type: "object-store", Mount: "", Spec: "", RawNames: true, Envelope: api.Swift, Routes: h.routes()}
}

type handlers struct{ store *object.Service }

func (h handlers) routes() []api.Route {
	const account, container = "/v1/{account}", "/v1/{account}/{container}"
	const file = container + "/{object...}"
	show, update := api.Get(h.showAccount), api.Empty(h.updateAccount)
	get := either(h.showContainer, h.getObject)
	put := either(h.putContainer, h.putObject)
	post := either(h.updateContainer, h.updateObject)
	remove := either(h.deleteContainer, h.deleteObject)
	return []api.Route{
		{Method: "GET", Path: account, Rule: "object:read", Do: show},
		{Method: "POST", Path: account, Rule: "object:write", OK: 204, Do: update},
		{Method: "HEAD", Path: account, Rule: "object:read", OK: 204, Do: show},
		{Method: "GET", Path: container, Rule: "object:read", Do: get, MaxBody: -1},
		{Method: "PUT", Path: container, Rule: "object:write", OK: 201, Do: put, MaxBody: -1},
		{Method: "POST", Path: container, Rule: "object:write", OK: 204, Do: post},
		{Method: "HEAD", Path: container, Rule: "object:read", OK: 204, Do: get},
		{Method: "DELETE", Path: container, Rule: "object:write", OK: 204, Do: remove},
		{Method: "GET", Path: file, Rule: "object:read", MaxBody: -1, Do: get},
		{Method: "PUT", Path: file, Rule: "object:write", OK: 201, MaxBody: -1, Do: put},
		{Method: "COPY", Path: file, Rule: "object:write", OK: 201, MaxBody: -1, Do: either(notContainer, h.copyObject)},
		{Method: "DELETE", Path: file, Rule: "object:write", OK: 204, Do: remove},
		{Method: "HEAD", Path: file, Rule: "object:read", Do: get},
		{Method: "POST", Path: file, Rule: "object:write", OK: 202, Do: post},
		{Method: "GET", Path: "/info", Public: true, Do: api.Get(info)},

		// An endpoint of the catalog with a slash behind it, as clients build it.
		{Method: "GET", Path: account + "/", Variant: "slash", Rule: "object:read", Do: show},
		{Method: "POST", Path: account + "/", Variant: "slash", Rule: "object:write", OK: 204, Do: update},
		{Method: "HEAD", Path: account + "/", Variant: "slash", Rule: "object:read", OK: 204, Do: show},
	}
}

type policyView struct {
	Name    string `json:"name"`
	Aliases string `json:"aliases"`
	Default bool   `json:"default"`
}

type infoView struct {
	Swift map[string]any `json:"swift"`
}

func info(*api.Call) (infoView, error) {
	return infoView{map[string]any{
		"version": "2.30.0", "max_file_size": int64(object.MaxObjectSize), "max_meta_name_length": object.MaxMetaName,
		"max_meta_value_length": object.MaxMetaValue, "max_meta_count": object.MaxMetaCount,
		"max_meta_overall_size": object.MaxMetaSize, "max_object_name_length": object.MaxObjectName,
		"max_container_name_length": object.MaxContainerName, "max_account_name_length": object.MaxAccountName,
		"container_listing_limit": object.MaxListing, "account_listing_limit": object.MaxListing,
		"max_header_size": 8192, "strict_cors_mode": true, "allow_account_management": false, "account_autocreate": true,
		"policies": []policyView{{Name: policyName, Aliases: policyName, Default: true}},
	}}, nil
}

// policyName is what Swift calls its one storage policy.
const policyName = "Policy-0"

// place is what a path names. Container and object may be empty.
type place struct{ account, container, object string }

// either serves a path that names a container or an object.
func either(onContainer, onObject func(c *api.Call, p place) (any, error)) api.Handler {
	return func(c *api.Call) (any, error) {
		p, err := at(c)
		if err != nil {
			return nil, err
		}
		if p.object == "" {
			return onContainer(c, p)
		}
		return onObject(c, p)
	}
}

func notContainer(c *api.Call, _ place) (any, error) {
	return nil, errs.New(errs.MethodNotAllowed, "The method is not allowed for this resource.")
}

// at reads the path, authorizes the row's rule for the account in it, and checks
// the names.
func at(c *api.Call) (place, error) {
	p := place{account: c.PathValue("account"), container: c.PathValue("container"), object: c.PathValue("object")}
	head, tail, escaped := strings.Cut(p.container, "/")
	if escaped {
		p.container, p.object = head, tail+p.object
		if c.PathValue("object") != "" {
			p.object = tail + "/" + c.PathValue("object")
		}
	}
	for _, name := range []string{p.account, p.container, p.object} {
		if !legible(name) {
			return place{}, sentence(errs.Precondition, "Invalid UTF8 or contains NULL")
		}
	}
	project, isOurs := strings.CutPrefix(p.account, "AUTH_")
	if !isOurs {
		project = "" // no project, so that no rule passes for it
	}
	err := c.Authorize(auth.Target{Project: project})
	if err != nil {
		return place{}, err
	}
	return p, checkNames(p)
}

func legible(name string) bool { return utf8.ValidString(name) && !strings.Contains(name, "\x00") }

func checkNames(p place) error {
	switch {
	case !strings.HasPrefix(p.account, "AUTH_"), len(p.account) > object.MaxAccountName:
		return sentence(errs.Precondition, "Bad URL")
	case len(p.container) > object.MaxContainerName:
		return sentence(errs.BadRequest, "Container name length of %d longer than %d", len(p.container), object.MaxContainerName)
	case len(p.object) > object.MaxObjectName:
		return sentence(errs.BadRequest, "Object name length of %d longer than %d", len(p.object), object.MaxObjectName)
	}
	return nil
}

// sentence is a refusal that is shown as text instead of as Swift's page.
func sentence(kind errs.Kind, format string, args ...any) error {
	return errs.New(kind, format, args...).Typed("text")
}

// refuse answers requests for what we do not have.
func refuse(c *api.Call, headers ...string) error {
	for _, name := range headers {
		if c.Header(name) != "" {
			return sentence(errs.NotImplemented, "%s is not supported by this object store.", name)
		}
	}
	manifest := c.Query().Get("multipart-manifest")
	if manifest == "put" || manifest == "delete" {
		return sentence(errs.NotImplemented, "Static large objects are not supported by this object store.")
	}
	return nil
}

// page is a success with the small page that Swift sends with some statuses.
func page(status int) api.Reply {
	reply := api.Reply{Status: status, ContentType: "text/html; charset=UTF-8"}
	if status == http.StatusAccepted {
		reply.Body = []byte("<html><h1>Accepted</h1><p>The request is accepted for processing.</p></html>")
	}
	return reply
}
