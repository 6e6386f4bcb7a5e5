package api

import (
	"encoding/json"
	"regexp"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
	"nacre/internal/identity/mapping"
)

type mappingView struct {
	ID            string          `json:"id"`
	Rules         json.RawMessage `json:"rules"`
	SchemaVersion string          `json:"schema_version"`
	Links         selfLink        `json:"links"`
}

func viewMapping(c *api.Call, m identity.Mapping) any {
	return mappingView{m.ID, m.Rules.V, m.SchemaVersion, selfLink{c.URL("/OS-FEDERATION/mappings/" + m.ID)}}
}

func (h handlers) mappingKind() kind[identity.Mapping] {
	return kind[identity.Mapping]{
		one: "mapping", many: "mappings", param: "id", view: viewMapping,
		all: func(c *api.Call) ([]identity.Mapping, error) { return h.identity.Mappings(c.Context()) },
		get: h.identity.Mapping, remove: h.identity.DeleteMapping,
	}
}

// mappingRule says: whoever has all of the remote attributes is the local user,
// in the local groups. {0} and so on stand for the values of the attributes.
type mappingRule struct {
	Local  []mappingLocal  `json:"local" check:"required"`
	Remote []mappingRemote `json:"remote" check:"required,min=1"`
}

// reference names something by id or name.
type reference struct {
	_    struct{} `check:"nonempty"`
	ID   *string  `json:"id"`
	Name *string  `json:"name"`
}

type mappingLocal struct {
	User *struct {
		ID     *string    `json:"id"`
		Name   *string    `json:"name"`
		Email  *string    `json:"email"`
		Domain *reference `json:"domain"`
		Type   *string    `json:"type" check:"enum=ephemeral|local"`
	} `json:"user"`
	Group *struct {
		_      struct{}   `check:"nonempty"`
		ID     *string    `json:"id"`
		Name   *string    `json:"name"`
		Domain *reference `json:"domain"`
	} `json:"group"`
	Groups   *string    `json:"groups"`
	GroupIDs *string    `json:"group_ids"`
	Domain   *reference `json:"domain"`
	Projects []struct {
		Name  string `json:"name" check:"required"`
		Roles []struct {
			Name string `json:"name" check:"required"`
		} `json:"roles" check:"required"`
		Domain *reference `json:"domain"`
	} `json:"projects"`
}

type mappingRemote struct {
	Type      string   `json:"type" check:"required"`
	AnyOneOf  []string `json:"any_one_of"`
	NotAnyOf  []string `json:"not_any_of"`
	Blacklist []string `json:"blacklist"`
	Whitelist []string `json:"whitelist"`
	Regex     bool     `json:"regex"`
}

// check refuses a condition that says several things at once, and patterns that
// are none.
func (r mappingRemote) check() error {
	said := 0
	for _, list := range [][]string{r.AnyOneOf, r.NotAnyOf, r.Blacklist, r.Whitelist} {
		if list != nil {
			said++
		}
		for _, pattern := range list {
			_, err := regexp.Compile(pattern)
			if r.Regex && err != nil {
				return errs.BadRequestf("Invalid input for field 'rules': %.64q is not a pattern.", pattern).Because(err)
			}
		}
	}
	if said > 1 {
		return errs.BadRequestf("Invalid input for field 'rules': a remote attribute has one of any_one_of, not_any_of, blacklist and whitelist.")
	}
	return nil
}

type mappingFields struct {
	_             struct{}      `check:"open"` // openstacksdk sends the id too
	Rules         []mappingRule `json:"rules" check:"required,min=1"`
	SchemaVersion *string       `json:"schema_version" check:"enum=1.0|2.0"`
}

type mappingRequest struct {
	_       struct{}      `check:"open"`
	Mapping mappingFields `json:"mapping" check:"required"`
}

// put puts the rules into a mapping as they were written.
func (f mappingFields) put(c *api.Call, m *identity.Mapping) error {
	for _, rule := range f.Rules {
		for _, local := range rule.Local {
			for _, project := range local.Projects {
				if project.Domain != nil && text(f.SchemaVersion) != mapping.V2 {
					return errs.BadRequestf("Invalid input for field 'rules': projects have a domain of their own from schema version 2.0 on.")
				}
			}
		}
		for _, remote := range rule.Remote {
			err := remote.check()
			if err != nil {
				return err
			}
		}
	}
	raw, err := c.Raw()
	if err != nil {
		return err
	}
	var body struct {
		Mapping struct {
			Rules json.RawMessage `json:"rules"`
		} `json:"mapping"`
	}
	err = json.Unmarshal(raw, &body)
	if err != nil {
		return errs.BadRequestf("Malformed request body.").Because(err)
	}
	m.Rules, m.SchemaVersion = db.Of(body.Mapping.Rules), mapping.V1
	set(&m.SchemaVersion, f.SchemaVersion)
	return nil
}

func (h handlers) createMapping(c *api.Call, in mappingRequest) (map[string]any, error) {
	return h.mappingKind().made(c, in.Mapping, func(map[string]any) (identity.Mapping, error) {
		m := identity.Mapping{ID: c.PathValue("id")}
		err := in.Mapping.put(c, &m)
		if err != nil {
			return m, err
		}
		return h.identity.CreateMapping(c.Context(), m)
	})
}

func (h handlers) updateMapping(c *api.Call, in mappingRequest) (map[string]any, error) {
	return h.mappingKind().made(c, in.Mapping, func(map[string]any) (identity.Mapping, error) {
		return h.identity.UpdateMapping(c.Context(), c.PathValue("id"), func(m *identity.Mapping) error { return in.Mapping.put(c, m) })
	})
}
