// Package object is the object store: accounts, containers and objects, as
// Swift has them. The rows say what exists; the bytes are blobs.
//
// A blob is announced in the database before its first byte is written, becomes
// an object's in the same transaction that makes the object visible, and is
// announced as garbage in the transaction that replaces or removes the object.
// Whatever instant we stop at, an object is whole or is not there, and the sweep
// finds every blob that nobody names without listing the store.
//
// An object has versions, of which its name shows the latest. Its bytes are
// chunks, one for a simple object and one a part for an upload in parts, or they
// are those of other objects: of listed ones, of all with a prefix, of the target
// of a link. All of that comes together in one place, Content, which is what
// whoever reads gets; Swift's and Amazon's APIs are two faces of the same store.
//
// Nobody trusts a disk for ever: the scrub reads everything again, and takes an
// object out of sight whose bytes have changed.
package object

import (
	"log/slog"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"nacre/internal/auth"
	"nacre/internal/blob"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
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
	stock stock
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

var damaged = promauto.NewCounter(prometheus.CounterOpts{
	Name: "nacre_object_damaged_total", Help: "Objects that were taken out of sight because their bytes had changed on disk.",
})

// sentence is a refusal that is shown as text instead of as Swift's page.
func sentence(kind errs.Kind, format string, args ...any) error {
	return errs.New(kind, format, args...).Typed("text")
}

// errNotFound is what Swift says of everything that is not there.
func errNotFound() error { return errs.NotFoundf("The resource could not be found.") }

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

// Check holds metadata against the limits.
func (m Meta) Check() error {
	size := 0
	for name, value := range m {
		size += len(name) + len(value)
		switch {
		case name == "":
			return sentence(errs.BadRequest, "Metadata name cannot be empty")
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return sentence(errs.BadRequest, "Metadata must be valid UTF-8")
		case len(name) > MaxMetaName:
			return sentence(errs.BadRequest, "Metadata name too long: %s", name)
		case len(value) > MaxMetaValue:
			return sentence(errs.BadRequest, "Metadata value longer than %d: %s", MaxMetaValue, name)
		}
	}
	if len(m) > MaxMetaCount {
		return sentence(errs.BadRequest, "Too many metadata items; max %d", MaxMetaCount)
	}
	if size > MaxMetaSize {
		return sentence(errs.BadRequest, "Total metadata too large; max %d", MaxMetaSize)
	}
	return nil
}

// Policy are the rules of the object store. Swift has no policy file; these say
// what its keystone middleware does with the operator roles swiftoperator and
// member, the role reader, and the role ResellerAdmin, who stands above accounts.
// Access lists and signatures let others in besides.
var Policy = []auth.Rule{
	{Name: "object:read", Check: "role:ResellerAdmin or (project_id:%(project_id)s and (role:admin or role:swiftoperator or role:member or role:reader))"},
	{Name: "object:write", Check: "role:ResellerAdmin or (project_id:%(project_id)s and (role:admin or role:swiftoperator or role:member))"},
	{Name: "object:reseller", Check: "role:ResellerAdmin"},
}
