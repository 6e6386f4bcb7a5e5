// Package object is the object store: accounts, containers and objects, as
// Swift has them. The rows say what exists; the bytes are blobs.
//
// A blob is announced in the database before its first byte is written, becomes
// an object's in the same transaction that makes the object visible, and is
// announced as garbage in the transaction that replaces or removes the object.
// Whatever instant we stop at, an object is whole or is not there, and the sweep
// finds every blob that nobody names without listing the store.
package object

import (
	"log/slog"

	"nacre/internal/auth"
	"nacre/internal/blob"
	"nacre/internal/clock"
	"nacre/internal/db"
)

// Limits are those that Swift has by default and tells under /info.
const (
	MaxAccountName   = 256
	MaxContainerName = 256
	MaxObjectName    = 1024
	MaxMetaName      = 128
	MaxMetaValue     = 256
	MaxMetaCount     = 90
	MaxMetaSize      = 4096
	MaxObjectSize    = 5<<30 + 2
	MaxListing       = 10000
)

// Service is the object store.
type Service struct {
	db    *db.DB
	blobs blob.Store
	clock clock.Clock
	log   *slog.Logger
}

// Options are what the service needs.
type Options struct {
	DB    *db.DB
	Blobs blob.Store
	Clock clock.Clock
	Log   *slog.Logger
}

// New makes the service.
func New(o Options) *Service {
	return &Service{db: o.DB, blobs: o.Blobs, clock: o.Clock, log: o.Log}
}

// Meta is user metadata: names in lower case without the X-…-Meta- prefix.
type Meta map[string]string

// Merge applies an update as Swift does: an empty value removes the name.
func (m Meta) Merge(changes Meta) Meta {
	out := Meta{}
	for name, value := range m {
		out[name] = value
	}
	for name, value := range changes {
		if value == "" {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	return out
}

// Policy are the rules of the object store. Swift has no policy file; these say
// what its keystone middleware does with the default operator roles.
var Policy = []auth.Rule{
	{Name: "object:info", Check: "@"},
	{Name: "object:read", Check: "role:ResellerAdmin or (project_id:%(project_id)s and (role:admin or role:swiftoperator or role:member or role:reader))"},
	{Name: "object:write", Check: "role:ResellerAdmin or (project_id:%(project_id)s and (role:admin or role:swiftoperator or role:member))"},
}
