// Package api is Cinder's v3 API on top of the volume service.
package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// The microversions that are spoken.
var (
	minVersion = api.V(3, 0)
	maxVersion = api.V(3, 71)
)

// New describes the API for the kernel.
func New(volumes *volume.Service) api.Service {
	h := handlers{volumes}
	return api.Service{
		Name: "cinder", Type: "block-storage", Mount: "/volume/v3", Spec: "/v3", ProjectInPath: true, Envelope: api.Cinder,
		Versions: &api.Microversions{Word: "volume", Min: minVersion, Max: maxVersion},
		Routes: slices.Concat(version(), h.volumes(), h.actions(), h.data(), h.attachments(), h.snapshots(), h.backups(), h.types(), h.encryption(),
			h.defaultTypes(), h.qos(), h.groupTypes(), h.groups(), h.groupSnapshots(), h.transfers(), h.messages(), h.quotas(), h.operators(),
			h.services(), h.clusters(), h.manageables()),
	}
}

// Discovery describes the document that lists the versions.
func Discovery() api.Service {
	return api.Service{Name: "cinder", Type: "block-storage", Mount: "/volume", Envelope: api.Cinder, Routes: versions()}
}

type handlers struct{ service *volume.Service }

// viewer is how the service sees the caller.
func viewer(c *api.Call) volume.Viewer {
	return volume.Viewer{
		Project: c.Caller.Project, User: c.Caller.User, Admin: c.Caller.Admin(), Request: c.RequestID(),
		May: func(rule, project string) bool { return c.May(rule, of(project)) },
	}
}

func of(project string) auth.Target { return auth.Target{Project: project} }

// scope is the project whose things are listed: the caller's, or, for an admin
// who asks for all, any or the one named.
func scope(c *api.Call) string {
	all, _ := boolean.Parse(c.Query().Get("all_tenants"))
	if c.Caller.Admin() && all {
		return c.Query().Get("project_id")
	}
	return c.Caller.Project
}

// metadata is an object of strings with short keys.
type metadata map[string]string

// JSONSchema implements api.Schemer.
func (metadata) JSONSchema() map[string]any {
	return map[string]any{
		"type":                 []any{"object", "null"},
		"patternProperties":    map[string]any{"^[a-zA-Z0-9-_:. /]{1,255}$": map[string]any{"type": "string", "maxLength": 255}},
		"additionalProperties": false,
	}
}

// specs are metadata that must be there.
type specs map[string]string

// JSONSchema implements api.Schemer.
func (specs) JSONSchema() map[string]any {
	schema := metadata{}.JSONSchema()
	schema["type"] = "object"
	return schema
}

// optionalID is an id, or null, or nothing.
type optionalID string

// JSONSchema implements api.Schemer.
func (optionalID) JSONSchema() map[string]any {
	return map[string]any{"oneOf": []any{
		map[string]any{"type": "null"},
		map[string]any{"type": "string", "maxLength": 0},
		map[string]any{"type": "string", "pattern": `^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$`},
	}}
}

// orNull is a text, null when it is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// stamp is a time as Cinder writes it, null for never.
func stamp(t db.Time) api.Micros { return api.Micros(t.Time()) }

// links are the two links of a resource: with the version in the path, and
// without.
func links(c *api.Call, path string) []api.Link {
	tail := "/" + c.Caller.Project + path
	return []api.Link{{Rel: "self", Href: c.URL(tail)}, {Rel: "bookmark", Href: c.Base() + "/volume" + tail}}
}

// next is the link to the page behind the last row. A page that is as long as
// the client asked has one, as in Cinder, also when nothing follows.
func next(c *api.Call, more bool, rows int, last string) []api.Link {
	full := c.Query().Get("limit") == strconv.Itoa(rows)
	if !more && !full {
		return nil
	}
	return []api.Link{{Rel: "next", Href: c.PageURL(last, false)}}
}

// paged reads which page is asked for. Offset is how many of its rows to leave
// out: the page is as much longer.
func paged(c *api.Call, l api.List) (page db.Page, offset int, err error) {
	page, err = c.Page(l)
	text := c.Query().Get("offset")
	if err != nil || text == "" {
		return page, 0, err
	}
	var n api.Int
	err = json.Unmarshal([]byte(text), &n)
	if err != nil || n < 0 || n > 1<<31 {
		return page, 0, errs.BadRequestf("Invalid input for query parameters offset. Value: %s. offset must be an integer that is not negative.", text)
	}
	page.Limit += int(n)
	return page, int(n), nil
}

// without leaves out the first rows. A limit of 0 leaves out all.
func without[T any](c *api.Call, rows []T, offset int) []T {
	if c.Query().Get("limit") == "0" {
		return nil
	}
	return rows[min(offset, len(rows)):]
}

// counted tells whether the caller wants to know how many rows there are.
func counted(c *api.Call) bool {
	yes, _ := boolean.Parse(c.Query().Get("with_count"))
	return yes && c.Version >= api.V(3, 45)
}

// pairs reads a filter on metadata, which clients write as a Python dict.
func pairs(text string) map[string]string {
	if text == "" {
		return nil
	}
	var out map[string]string
	err := json.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), &out)
	if err != nil {
		return map[string]string{text: ""} // matches nothing
	}
	return out
}

type versionView struct {
	ID         string      `json:"id"`
	Status     string      `json:"status"`
	Version    string      `json:"version"`
	MinVersion string      `json:"min_version"`
	Updated    string      `json:"updated"`
	Links      []api.Link  `json:"links"`
	MediaTypes []mediaType `json:"media-types"`
}

type mediaType struct {
	Base string `json:"base"`
	Type string `json:"type"`
}

type versionsView struct {
	Versions []versionView `json:"versions"`
}

func showVersions(c *api.Call) (versionsView, error) {
	return versionsView{[]versionView{{
		ID: "v3.0", Status: "CURRENT", Version: maxVersion.String(), MinVersion: minVersion.String(),
		Updated:    time.Date(2022, 7, 21, 0, 0, 0, 0, time.UTC).Format(time.RFC3339),
		Links:      []api.Link{{Rel: "self", Href: c.Base() + "/volume/v3/"}},
		MediaTypes: []mediaType{{"application/json", "application/vnd.openstack.volume+json;version=3"}},
	}}}, nil
}

func versions() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "", Public: true, OK: http.StatusMultipleChoices, Do: api.Get(showVersions)},
		{Method: "GET", Path: "/", Public: true, OK: http.StatusMultipleChoices, Do: api.Get(showVersions)},
	}
}

func version() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "", Public: true, Do: api.Get(showVersions)},
		{Method: "GET", Path: "/", Public: true, Do: api.Get(showVersions)},
	}
}
