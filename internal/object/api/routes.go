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
// Swift is a proxy behind twenty middlewares; here a few mechanisms do their
// work. access.go decides all that may let a request in. incoming reads what an
// object is to be from headers, for every way to make one. The store resolves
// what an object is made of, and serve answers conditions and ranges for all of
// it alike. Variants of a call stand in the table since the reference lists them;
// requests may combine them, so that one handler serves them all.
package api

import (
	"context"
	"time"

	"nacre/internal/api"
	"nacre/internal/object"
)

// SignIn exchanges a name and a password for a token, for the first version of
// Swift's own authentication.
type SignIn func(ctx context.Context, project, user, password string) (Session, error)

// Session is what SignIn gives.
type Session struct {
	Token     string
	Project   string // id
	ExpiresAt time.Time
}

// New describes the service for the kernel.
func New(store *object.Service, signIn SignIn) api.Service {
	h := handlers{store, signIn}
	return api.Service{Name: "swift", Type: "object-store", Mount: "", Spec: "", RawNames: true, Envelope: api.Swift, Routes: h.routes()}
}

type handlers struct {
	store  *object.Service
	signIn SignIn
}

func (h handlers) routes() []api.Route {
	const account, container = "/v1/{account}", "/v1/{account}/{container}"
	const file = container + "/{object...}"
	show, update := h.onAccount(h.showAccount), h.onAccount(h.updateAccount)
	get := h.either(h.showContainer, h.getObject)
	put := h.either(h.putContainer, h.putObject)
	post := h.either(h.updateContainer, h.updateObject)
	remove := h.either(h.deleteContainer, h.deleteObject)
	rows := []api.Route{
		{Method: "GET", Path: account, Rule: reads, Do: show},
		{Method: "POST", Path: account, Rule: writes, OK: 204, Do: update},
		{Method: "HEAD", Path: account, Rule: reads, OK: 204, Do: show},
		{Method: "DELETE", Path: account, Rule: reselling, OK: 204, Do: h.onAccount(h.deleteAccount)},
		{Method: "PUT", Path: account, Rule: reselling, OK: 201, Do: h.onAccount(h.putAccount)},
		{Method: "GET", Path: container, Rule: reads, Do: get},
		{Method: "PUT", Path: container, Rule: writes, OK: 201, Do: put},
		{Method: "POST", Path: container, Rule: writes, OK: 204, Do: post},
		{Method: "HEAD", Path: container, Rule: reads, OK: 204, Do: get},
		{Method: "DELETE", Path: container, Rule: writes, OK: 204, Do: remove},
		{Method: "GET", Path: container, Variant: "?versions", Rule: reads, Do: get},
		{Method: "POST", Path: container, Variant: "(X-Versions-Enabled)", Rule: writes, OK: 204, Do: post},
		{Method: "POST", Path: container, Variant: "(multipart/form-data)", Rule: writes, OK: 201, Do: h.formPost},
		{Method: "PUT", Path: container, Variant: "?extract-archive=tar.gz", Rule: writes, Do: h.either(h.extract, h.extract)},
		{Method: "GET", Path: file, Rule: reads, Do: get},
		{Method: "PUT", Path: file, Rule: writes, OK: 201, Do: put},
		{Method: "COPY", Path: file, Rule: reads, OK: 201, Do: h.copyObject}, // and writes at the other end,
		{Method: "DELETE", Path: file, Rule: writes, OK: 204, Do: remove},
		{Method: "HEAD", Path: file, Rule: reads, Do: get},
		{Method: "POST", Path: file, Rule: writes, OK: 202, Do: post},
		{Method: "OPTIONS", Path: file, Public: true, Do: h.preflight},
		{Method: "GET", Path: file, Variant: "?multipart-manifest=get", Rule: reads, Do: get},
		{Method: "PUT", Path: file, Variant: "?multipart-manifest=put", Rule: writes, OK: 201, Do: put},
		{Method: "DELETE", Path: file, Variant: "?multipart-manifest=delete", Rule: writes, Do: remove},
		{Method: "PUT", Path: file, Variant: "(X-Object-Manifest)", Rule: writes, OK: 201, Do: put},
		{Method: "GET", Path: file, Variant: "?temp_url_sig=&temp_url_expires=", Rule: reads, Do: get},
		{Method: "PUT", Path: file, Variant: "?temp_url_sig=&temp_url_expires=", Rule: writes, OK: 201, Do: put},
		{Method: "PUT", Path: file, Variant: "?symlink (X-Symlink-Target)", Rule: writes, OK: 201, Do: put},
		{Method: "GET", Path: file, Variant: "?version-id={id}", Rule: reads, Do: get},
		{Method: "PUT", Path: file, Variant: "?version-id={id}", Rule: writes, OK: 201, Do: put},
		{Method: "DELETE", Path: file, Variant: "?version-id={id}", Rule: writes, OK: 204, Do: remove},
		{Method: "POST", Path: file, Variant: "(multipart/form-data)", Rule: writes, OK: 201, Do: h.formPost},
		{Method: "PUT", Path: file, Variant: "?extract-archive=", Rule: writes, Do: h.either(h.extract, h.extract)},
		{Method: "POST", Path: account, Variant: "?bulk-delete", Rule: writes, Do: h.onAccount(h.bulkDelete)},
		{Method: "DELETE", Path: account, Variant: "?bulk-delete", Rule: writes, Do: h.onAccount(h.bulkDelete)},
		{Method: "PUT", Path: account, Variant: "?extract-archive=", Rule: writes, Do: h.onAccount(h.extract)},
		{Method: "OPTIONS", Path: container, Public: true, Do: h.preflight},
		{Method: "OPTIONS", Path: account, Public: true, Do: h.preflight},
	}
	// An endpoint of the catalog with a slash behind it, as clients build it.
	for _, row := range rows {
		if row.Path == account {
			row.Path += "/"
			rows = append(rows, row)
		}
	}
	for i := range rows {
		if !rows[i].Public {
			rows[i].Anonymous, rows[i].MaxBody = true, -1
		}
	}
	return append(rows,
		api.Route{Method: "GET", Path: "/info", Public: true, Do: api.Get(info)},
		api.Route{Method: "GET", Path: "/healthcheck", Public: true, Do: api.Get(healthcheck)},
		api.Route{Method: "GET", Path: "/crossdomain.xml", Public: true, Do: api.Get(crossdomain)},
		api.Route{Method: "GET", Path: "/auth/v1.0", Public: true, Do: api.Get(h.authenticate)},
	)
}
