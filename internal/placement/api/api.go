// Package api is the placement API on top of placement, with microversions up
// to 1.39.
package api

import (
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/placement"
)

var (
	minVersion = api.V(1, 0)
	maxVersion = api.V(1, 39)
)

// New describes the service for the kernel.
func New(service *placement.Service) api.Service {
	h := handlers{service}
	return api.Service{
		Name: "placement", Type: "placement", Mount: "/placement", Spec: "",
		Versions:  &api.Microversions{Word: "placement", Min: minVersion, Max: maxVersion, AnyNumbers: true},
		MediaType: true,
		Envelope:  api.Placement,
		Routes:    slices.Concat(versionRoutes(), h.providerRoutes(), h.inventoryRoutes(), h.traitRoutes(), h.allocationRoutes(), h.reshaperRoutes()),
	}
}

type handlers struct{ placement *placement.Service }

// generation is a provider's or a consumer's as the client knows it. What none can be,
// less than zero or larger than any, is one that nobody has.
type generation int64

// JSONSchema implements api.Schemer.
func (generation) JSONSchema() map[string]any { return map[string]any{"type": "integer"} }

// UnmarshalJSON implements json.Unmarshaler.
func (g *generation) UnmarshalJSON(b []byte) error {
	err := (*api.Int)(g).UnmarshalJSON(b)
	if *g < 0 {
		*g = math.MaxInt64
	}
	return err
}

// allowed authorizes a call: placement's things belong to no project.
func allowed(c *api.Call) error { return allowedFor(c, "") }

// allowedFor authorizes a call on what belongs to a project. Placement's rules are
// for tokens of projects: one of the system passes none of them.
func allowedFor(c *api.Call, project string) error {
	if c.Caller.System {
		return c.Refuse()
	}
	return c.Authorize(auth.Target{Project: project})
}

// fresh marks a reply as one that must not be cached, since 1.15.
func fresh(c *api.Call, changed time.Time) {
	if c.Version < api.V(1, 15) {
		return
	}
	if changed.IsZero() {
		changed = c.Now()
	}
	c.SetHeader("Last-Modified", changed.UTC().Format(http.TimeFormat))
	c.SetHeader("Cache-Control", "no-cache")
}

func versionRoutes() []api.Route {
	root := api.Get(func(c *api.Call) (versionsReply, error) {
		fresh(c, c.Now())
		return versionsReply{[]versionView{{
			ID: "v1.0", Status: "CURRENT", Max: maxVersion.String(), Min: minVersion.String(),
			Links: []api.Link{{Rel: "self", Href: ""}},
		}}}, nil
	})
	return []api.Route{
		{Method: "GET", Path: "", Public: true, Do: root},
		{Method: "GET", Path: "/", Public: true, Do: root},
	}
}

type versionsReply struct {
	Versions []versionView `json:"versions"`
}

type versionView struct {
	ID     string     `json:"id"`
	Status string     `json:"status"`
	Max    string     `json:"max_version"`
	Min    string     `json:"min_version"`
	Links  []api.Link `json:"links"`
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$`)

// canonical spells a UUID as it is kept: in lower case, with dashes.
func canonical(uuid string) string {
	digits := strings.ToLower(strings.ReplaceAll(uuid, "-", ""))
	if !uuidForm.MatchString(uuid) {
		return uuid
	}
	return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}
