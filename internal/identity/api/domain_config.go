package api

import (
	"net/http"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) domainConfigs() []api.Route {
	const all, defaults = "/domains/{domain_id}/config", "/domains/config"
	show, update, remove := api.Get(h.showDomainConfig), api.Body(h.updateDomainConfig), api.Empty(h.deleteDomainConfig)
	shown, compliance := api.Get(h.showDefaultConfig), api.Get(h.showCompliance)
	const ofDefault, ofCompliance = "identity:get_domain_config_default", "identity:get_security_compliance_domain_config"
	routes := []api.Route{
		{Method: "GET", Path: defaults + "/default", Rule: ofDefault, Do: shown},
		{Method: "GET", Path: defaults + "/{group}/default", Rule: ofDefault, Do: shown},
		{Method: "GET", Path: defaults + "/{group}/{option}/default", Rule: ofDefault, Do: shown},
		{Method: "PUT", Path: all, Rule: "identity:create_domain_config", OK: 201, Do: api.Body(h.setDomainConfig)},
		{Method: "GET", Path: all + "/security_compliance", Rule: ofCompliance, Do: compliance},
		{Method: "GET", Path: all + "/security_compliance/{option}", Rule: ofCompliance, Do: compliance},
	}
	for _, path := range []string{all, all + "/{group}", all + "/{group}/{option}"} {
		routes = append(routes,
			api.Route{Method: "GET", Path: path, Rule: "identity:get_domain_config", Do: show},
			api.Route{Method: "PATCH", Path: path, Rule: "identity:update_domain_config", Do: update},
			api.Route{Method: "DELETE", Path: path, Rule: "identity:delete_domain_config", OK: 204, Do: remove})
	}
	return routes
}

type configReply struct {
	Config any `json:"config"`
}

// viewConfig shows a part of a configuration. An option stands by itself.
func viewConfig(config identity.DomainConfig, group, option string) configReply {
	if option != "" {
		return configReply{config[group]}
	}
	return configReply{config}
}

func (h handlers) showDefaultConfig(c *api.Call) (configReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return configReply{}, err
	}
	group, option := c.PathValue("group"), c.PathValue("option")
	err = identity.CheckDomainOption(group, option)
	if err != nil {
		return configReply{}, err
	}
	return viewConfig(identity.DomainConfigDefaults.Part(group, option), group, option), nil
}

func (h handlers) showDomainConfig(c *api.Call) (configReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return configReply{}, err
	}
	group, option := c.PathValue("group"), c.PathValue("option")
	config, err := h.identity.DomainConfig(c.Context(), c.PathValue("domain_id"), group, option)
	return viewConfig(config, group, option), err
}

type configRequest struct {
	_      struct{}                  `check:"open"`
	Config map[string]map[string]any `json:"config" check:"required"`
}

func (h handlers) setDomainConfig(c *api.Call, in configRequest) (configReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return configReply{}, err
	}
	domain := c.PathValue("domain_id")
	fresh, err := h.identity.SetDomainConfig(c.Context(), domain, in.Config)
	if err != nil {
		return configReply{}, err
	}
	if !fresh {
		c.SetStatus(http.StatusOK)
	}
	config, err := h.identity.DomainConfig(c.Context(), domain, "", "")
	if errs.Is(err, errs.NotFound) { // all of it is never shown
		config, err = identity.DomainConfig{}, nil
	}
	return configReply{config}, err
}

// configUpdate is a configuration or, for one option, its value by its name.
type configUpdate struct {
	_      struct{}       `check:"open"`
	Config map[string]any `json:"config" check:"required"`
}

func (h handlers) updateDomainConfig(c *api.Call, in configUpdate) (configReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return configReply{}, err
	}
	group, option := c.PathValue("group"), c.PathValue("option")
	change := identity.DomainConfig{}
	if option != "" {
		change[group] = in.Config
	} else {
		for name, value := range in.Config {
			options, ok := value.(map[string]any)
			if !ok {
				return configReply{}, errs.Forbiddenf("Invalid domain specific configuration: "+
					"The value of group %s specified in the config should be a dictionary of options", name)
			}
			change[name] = options
		}
	}
	config, err := h.identity.UpdateDomainConfig(c.Context(), c.PathValue("domain_id"), group, option, change)
	return configReply{config}, err
}

func (h handlers) deleteDomainConfig(c *api.Call) error {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return err
	}
	return h.identity.DeleteDomainConfig(c.Context(), c.PathValue("domain_id"), c.PathValue("group"), c.PathValue("option"))
}

// showCompliance tells what a password must look like.
func (h handlers) showCompliance(c *api.Call) (configReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return configReply{}, err
	}
	_, err = h.identity.Domain(c.Context(), c.PathValue("domain_id"))
	if err != nil {
		return configReply{}, err
	}
	if c.PathValue("domain_id") != identity.DefaultDomain {
		return configReply{}, errs.Forbiddenf("Invalid domain specific configuration: " +
			"Reading security compliance information for any domain other than the default domain is not allowed or supported.")
	}
	rules := h.identity.Compliance()
	options := map[string]any{"password_regex": orNull(rules.Pattern), "password_regex_description": orNull(rules.PatternDescription)}
	option := c.PathValue("option")
	if option == "" {
		return configReply{identity.DomainConfig{"security_compliance": options}}, nil
	}
	value, readable := options[option]
	if !readable {
		return configReply{}, errs.Forbiddenf("Invalid domain specific configuration: " +
			"Reading security compliance values other than password_regex and password_regex_description is not allowed.")
	}
	return configReply{map[string]any{option: value}}, nil
}
