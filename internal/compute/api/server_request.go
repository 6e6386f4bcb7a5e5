package api

import (
	"cmp"
	"encoding/json"
	"strings"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

type createRequest struct {
	Server createServer  `json:"server" check:"required"`
	Hints  *hintsRequest `json:"os:scheduler_hints" check:"notnull"`
	Hints2 *hintsRequest `json:"OS-SCH-HNT:scheduler_hints" check:"notnull"`
}

// hintsRequest are wishes about the host. The group, different_host, same_host,
// build_near_host_ip with cidr, and query are heard.
type hintsRequest map[string]any

// JSONSchema implements api.Schemer.
func (hintsRequest) JSONSchema() map[string]any {
	server, text := map[string]any{"type": "string", "pattern": uuidForm}, map[string]any{"type": "string"}
	return map[string]any{"type": "object", "properties": map[string]any{
		"group":              server,
		"different_host":     map[string]any{"oneOf": []any{server, map[string]any{"type": "array", "items": server}}},
		"same_host":          map[string]any{"type": []any{"string", "array"}, "items": server},
		"different_cell":     map[string]any{"type": []any{"string", "array"}, "items": text},
		"target_cell":        map[string]any{"type": "string", "minLength": 1, "maxLength": 255},
		"build_near_host_ip": map[string]any{"type": "string", "format": "ip"},
		"cidr":               map[string]any{"type": "string", "pattern": `^/[0-9a-f.:]+$`},
		"query":              map[string]any{"type": []any{"string", "object"}},
	}}
}

const uuidForm = `^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$`

type createServer struct {
	Name         string           `json:"name" check:"required,min=1,max=255,pattern=name"`
	Image        string           `json:"imageRef" check:"pattern=image"`
	Flavor       reference        `json:"flavorRef" check:"required"`
	AdminPass    string           `json:"adminPass"`
	Metadata     metadataRequest  `json:"metadata"`
	Networks     networksRequest  `json:"networks"`
	DiskConfig   string           `json:"OS-DCF:diskConfig" check:"enum=AUTO|MANUAL"`
	AccessIP4    address          `json:"accessIPv4" check:"format=ipv4"`
	AccessIP6    address          `json:"accessIPv6" check:"format=ipv6"`
	Personality  []fileRequest    `json:"personality" until:"2.56"`
	Zone         *string          `json:"availability_zone" check:"min=1,max=255,pattern=name,notnull"`
	OldDisks     []oldDiskRequest `json:"block_device_mapping"`
	Disks        []diskRequest    `json:"block_device_mapping_v2"`
	ConfigDrive  *api.Bool        `json:"config_drive" check:"notnull"`
	KeyName      *string          `json:"key_name" check:"min=1,max=255,pattern=name,notnull"`
	MinCount     count            `json:"min_count"`
	MaxCount     count            `json:"max_count"`
	ReturnID     api.Bool         `json:"return_reservation_id"`
	Groups       []groupRequest   `json:"security_groups"`
	UserData     *string          `json:"user_data" check:"pattern=base64,max=65535,notnull"`
	Description  *string          `json:"description" since:"2.19" check:"max=255"`
	Tags         tagsRequest      `json:"tags" since:"2.52"`
	Certificates certificates     `json:"trusted_image_certificates" since:"2.63"`
	Host         string           `json:"host" since:"2.74" check:"min=1,max=255,pattern=hostname"`
	Hypervisor   string           `json:"hypervisor_hostname" since:"2.74" check:"min=1,max=255,pattern=hostname"`
	Hostname     hostname         `json:"hostname" since:"2.90"`
}

type groupRequest struct {
	Name string `json:"name" check:"min=1,max=255,pattern=name"`
}

// reference is an id, perhaps sent as a number, perhaps as the URL of the thing.
type reference string

// JSONSchema implements api.Schemer.
func (reference) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"string", "integer"}, "minLength": 1}
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *reference) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &text)
		if err != nil {
			return err
		}
	}
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '/' {
			text = text[i+1:]
			break
		}
	}
	*r = reference(text)
	return nil
}

// hostname is what a guest calls itself: a name of one part and, since 2.94, one
// with a domain.
type hostname string

// JSONSchemaAt implements api.VersionSchemer.
func (hostname) JSONSchemaAt(v api.Version) map[string]any {
	if v < api.V(2, 94) {
		return map[string]any{"type": "string", "minLength": 2, "maxLength": 63, "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$"}
	}
	return map[string]any{"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-._]*$"}
}

// integer is a number, perhaps sent as text; one that is too large, where a schema has
// no limits, is the largest.
type integer int

// UnmarshalJSON implements json.Unmarshaler.
func (n *integer) UnmarshalJSON(b []byte) error {
	var v api.Int
	err := v.UnmarshalJSON(b)
	*n = integer(v)
	return err
}

// count is a positive number, perhaps sent as text.
type count int

// JSONSchema implements api.Schemer.
func (count) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^[0-9]*$", "minimum": 1, "minLength": 1}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *count) UnmarshalJSON(b []byte) error { return (*integer)(n).UnmarshalJSON(b) }

// certificates are the ids of those that may have signed an image.
type certificates []string

// JSONSchema implements api.Schemer.
func (certificates) JSONSchema() map[string]any {
	return map[string]any{
		"type": []any{"array", "null"}, "minItems": 1, "maxItems": 50, "uniqueItems": true,
		"items": map[string]any{"type": "string", "minLength": 1},
	}
}

// metadataRequest is a mapping of short texts.
type metadataRequest map[string]string

// JSONSchema implements api.Schemer.
func (metadataRequest) JSONSchema() map[string]any {
	return map[string]any{
		"type":                 "object",
		"patternProperties":    map[string]any{"^[a-zA-Z0-9-_:. ]{1,255}$": map[string]any{"type": "string", "maxLength": 255}},
		"additionalProperties": false,
	}
}

// networksRequest is a list of cards or, as text, auto or none.
type networksRequest struct {
	set   bool
	word  string
	cards []networkRequest
}

type networkRequest struct {
	FixedIP string  `json:"fixed_ip"`
	Port    *string `json:"port"`
	UUID    string  `json:"uuid"`
	Tag     *string `json:"tag"`
}

// JSONSchemaAt implements api.VersionSchemer.
func (networksRequest) JSONSchemaAt(v api.Version) map[string]any {
	card := map[string]any{
		"fixed_ip": map[string]any{"type": "string", "format": "ip"},
		"port":     map[string]any{"type": []any{"string", "null"}, "pattern": uuidForm},
		"uuid":     map[string]any{"type": "string"},
	}
	list := map[string]any{
		"type":  "array",
		"items": map[string]any{"type": "object", "properties": card, "additionalProperties": false},
	}
	if v >= api.V(2, 32) && (v < api.V(2, 37) || v >= api.V(2, 42)) {
		card["tag"] = map[string]any{"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
	}
	if v < api.V(2, 37) {
		return list
	}
	card["uuid"] = map[string]any{"type": "string", "pattern": uuidForm}
	return map[string]any{"oneOf": []any{list, map[string]any{"type": "string", "enum": []any{"none", "auto"}}}}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *networksRequest) UnmarshalJSON(b []byte) error {
	n.set = true
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &n.word)
	}
	return json.Unmarshal(b, &n.cards)
}

// input translates the request into what compute takes.
func (in createRequest) input(c *api.Call) (compute.NewServer, error) {
	r := in.Server
	out := compute.NewServer{
		Caller: c.Caller, Request: c.RequestID(),
		Name: r.Name, Description: r.Description, Hostname: string(r.Hostname), Flavor: string(r.Flavor), Image: r.Image,
		KeyName: r.KeyName, AccessIP4: string(r.AccessIP4), AccessIP6: string(r.AccessIP6), Metadata: r.Metadata, Tags: r.Tags, Host: oneHost(r.Host, r.Hypervisor),
		AutoDisk: autoDisk(r.DiskConfig), Certificates: r.Certificates,
		ConfigDrive: r.ConfigDrive != nil && bool(*r.ConfigDrive),
		Min:         max(int(r.MinCount), 1), Shared: knowsShared(c),
	}
	if r.UserData != nil {
		out.UserData = *r.UserData
	}
	if c.Version < api.V(2, 19) {
		out.Description = &r.Name
	}
	out.Max = int(r.MaxCount)
	if out.Max == 0 {
		out.Max = out.Min
	}
	if out.Min > out.Max {
		return out, errs.BadRequestf("min_count must be <= max_count")
	}
	if out.Hostname != "" && out.Max > 1 {
		return out, errs.BadRequestf("Unable to allocate a single hostname to multiple instances")
	}
	for _, g := range r.Groups {
		if g.Name != "" {
			out.Groups = append(out.Groups, g.Name)
		}
	}
	var err error
	out.Files, err = personality(r.Personality)
	if err != nil {
		return out, err
	}
	err = in.networks(c, &out)
	if err != nil {
		return out, err
	}
	err = in.disks(c, &out)
	if err != nil {
		return out, err
	}
	hints := in.Hints
	if hints == nil {
		hints = in.Hints2
	}
	if hints != nil {
		out.Hints = *hints
		out.ServerGroup, _ = (*hints)["group"].(string)
	}
	return out, nil
}

func (in createRequest) networks(c *api.Call, out *compute.NewServer) error {
	n := in.Server.Networks
	words := c.Version >= api.V(2, 37)
	switch {
	case !n.set && words:
		return errs.BadRequestf("Invalid input for field/attribute server. Value: %v. 'networks' is a required property", in.Server.Name)
	case n.word == "none" && words:
		out.NoNetwork = true
		return nil
	case n.word == "auto" && words:
		out.AutoNetwork = true
		return nil
	}
	for _, card := range n.cards {
		one := compute.NewCard{Network: card.UUID, FixedIP: card.FixedIP, Tag: card.Tag}
		if card.Port != nil {
			one.Port = *card.Port
		}
		if one.Port == "" && one.Network == "" {
			return errs.BadRequestf("Bad network format: missing 'uuid'")
		}
		if one.FixedIP != "" && one.Port != "" {
			return errs.BadRequestf("Specified Fixed IP '%s' cannot be used with port '%s': the two cannot be specified together.", one.FixedIP, one.Port)
		}
		out.Cards = append(out.Cards, one)
	}
	return nil
}

// zoneAndHost reads zone, or zone:host, zone::node or zone:host:node, which are for those
// who may force a host.
func zoneAndHost(text string) (zone, host string, err error) {
	parts := append(strings.Split(text, ":"), "", "")
	if len(parts) > 5 {
		return "", "", errs.BadRequestf("Invalid input received: Unable to parse availability_zone")
	}
	return parts[0], oneHost(parts[1], parts[2]), nil
}

// oneHost is the host of that name whose node has the other name. Here they are the same:
// two names are those of no host.
func oneHost(host, node string) string {
	if host != "" && node != "" && host != node {
		return host + ":" + node
	}
	return cmp.Or(host, node)
}
