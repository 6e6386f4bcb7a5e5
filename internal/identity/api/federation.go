package api

import (
	"nacre/internal/api"
	"nacre/internal/identity"
)

func (h handlers) federationRoutes() []api.Route {
	const base = "/OS-FEDERATION"
	const protocol = base + "/identity_providers/{idp_id}/protocols/{protocol_id}"
	idp, sp, mapping, protocols := h.idpKind(), h.serviceProviderKind(), h.mappingKind(), h.protocolKind()
	return []api.Route{
		{Method: "GET", Path: base + "/projects", Rule: "identity:get_auth_projects", Do: api.Get(h.authProjects)},
		{Method: "GET", Path: base + "/domains", Rule: "identity:get_auth_domains", Do: api.Get(h.authDomains)},
		{Method: "PUT", Path: base + "/service_providers/{id}", Rule: "identity:create_service_provider", OK: 201, Do: api.Body(h.createServiceProvider)},
		{Method: "GET", Path: base + "/service_providers", Rule: "identity:list_service_providers", Do: api.Get(sp.list)},
		{Method: "GET", Path: base + "/service_providers/{id}", Rule: "identity:get_service_provider", Do: api.Get(sp.show)},
		{Method: "DELETE", Path: base + "/service_providers/{id}", Rule: "identity:delete_service_provider", OK: 204, Do: api.Empty(sp.delete)},
		{Method: "PATCH", Path: base + "/service_providers/{id}", Rule: "identity:update_service_provider", Do: api.Body(h.updateServiceProvider)},
		{Method: "PUT", Path: base + "/mappings/{id}", Rule: "identity:create_mapping", OK: 201, Do: api.Body(h.createMapping)},
		{Method: "GET", Path: base + "/mappings/{id}", Rule: "identity:get_mapping", Do: api.Get(mapping.show)},
		{Method: "PATCH", Path: base + "/mappings/{id}", Rule: "identity:update_mapping", Do: api.Body(h.updateMapping)},
		{Method: "GET", Path: base + "/mappings", Rule: "identity:list_mappings", Do: api.Get(mapping.list)},
		{Method: "DELETE", Path: base + "/mappings/{id}", Rule: "identity:delete_mapping", OK: 204, Do: api.Empty(mapping.delete)},
		{Method: "PUT", Path: base + "/identity_providers/{id}", Rule: "identity:create_identity_provider", OK: 201, Do: api.Body(h.createIDP)},
		{Method: "GET", Path: base + "/identity_providers", Rule: "identity:list_identity_providers", Do: api.Get(idp.list)},
		{Method: "GET", Path: base + "/identity_providers/{id}", Rule: "identity:get_identity_provider", Do: api.Get(idp.show)},
		{Method: "DELETE", Path: base + "/identity_providers/{id}", Rule: "identity:delete_identity_provider", OK: 204, Do: api.Empty(idp.delete)},
		{Method: "PATCH", Path: base + "/identity_providers/{id}", Rule: "identity:update_identity_provider", Do: api.Body(h.updateIDP)},
		{Method: "PUT", Path: protocol, Rule: "identity:create_protocol", OK: 201, Do: api.Body(h.createProtocol)},
		{Method: "GET", Path: base + "/identity_providers/{id}/protocols", Rule: "identity:list_protocols", Do: api.Get(protocols.list)},
		{Method: "GET", Path: protocol, Rule: "identity:get_protocol", Do: api.Get(h.showProtocol)},
		{Method: "PATCH", Path: protocol, Rule: "identity:update_protocol", Do: api.Body(h.updateProtocol)},
		{Method: "DELETE", Path: protocol, Rule: "identity:delete_protocol", OK: 204, Do: api.Empty(h.deleteProtocol)},
	}
}

type idpLinks struct {
	Self      string `json:"self"`
	Protocols string `json:"protocols"`
}

type idpView struct {
	ID               string   `json:"id"`
	DomainID         string   `json:"domain_id"`
	Description      *string  `json:"description"`
	Enabled          bool     `json:"enabled"`
	RemoteIDs        []string `json:"remote_ids"`
	AuthorizationTTL *int64   `json:"authorization_ttl"`
	Links            idpLinks `json:"links"`
}

func viewIDP(c *api.Call, p identity.IdentityProvider) any {
	self := c.URL("/OS-FEDERATION/identity_providers/" + p.ID)
	return idpView{p.ID, p.DomainID, p.Description, p.Enabled, p.RemoteIDs, p.AuthorizationTTL, idpLinks{self, self + "/protocols"}}
}

func (h handlers) idpKind() kind[identity.IdentityProvider] {
	return kind[identity.IdentityProvider]{
		one: "identity_provider", many: "identity_providers", param: "id", view: viewIDP,
		all: func(c *api.Call) ([]identity.IdentityProvider, error) {
			return h.identity.IdentityProviders(c.Context(), c.Query().Get("id"), enabledFilter(c))
		},
		get: h.identity.IdentityProvider, remove: h.identity.DeleteIdentityProvider,
	}
}

// idpFields are what an identity provider may be given at any time.
type idpFields struct {
	_                struct{}          `check:"nonempty"`
	Description      api.Opt[string]   `json:"description"`
	Enabled          *bool             `json:"enabled"`
	RemoteIDs        api.Opt[[]string] `json:"remote_ids"`
	AuthorizationTTL api.Opt[int64]    `json:"authorization_ttl" check:"min=0"`
}

func (f idpFields) put(p *identity.IdentityProvider) {
	setOptional(&p.Description, f.Description)
	set(&p.Enabled, f.Enabled)
	if f.RemoteIDs.Set {
		p.RemoteIDs = f.RemoteIDs.V
	}
	switch {
	case f.AuthorizationTTL.Null:
		p.AuthorizationTTL = nil
	case f.AuthorizationTTL.Set:
		p.AuthorizationTTL = &f.AuthorizationTTL.V
	}
}

type createIDPRequest struct {
	IDP struct {
		Description      api.Opt[string]   `json:"description"`
		Enabled          *bool             `json:"enabled"`
		RemoteIDs        api.Opt[[]string] `json:"remote_ids"`
		AuthorizationTTL api.Opt[int64]    `json:"authorization_ttl" check:"min=0"`
		DomainID         *string           `json:"domain_id"`
	} `json:"identity_provider" check:"required"`
}

func (h handlers) createIDP(c *api.Call, in createIDPRequest) (map[string]any, error) {
	asked := in.IDP
	return h.idpKind().made(c, asked, func(map[string]any) (identity.IdentityProvider, error) {
		p := identity.IdentityProvider{ID: c.PathValue("id"), DomainID: text(asked.DomainID)}
		idpFields{Description: asked.Description, Enabled: asked.Enabled, RemoteIDs: asked.RemoteIDs, AuthorizationTTL: asked.AuthorizationTTL}.put(&p)
		return h.identity.CreateIdentityProvider(c.Context(), p)
	})
}

type updateIDPRequest struct {
	_   struct{}  `check:"open"`
	IDP idpFields `json:"identity_provider" check:"required"`
}

func (h handlers) updateIDP(c *api.Call, in updateIDPRequest) (map[string]any, error) {
	return h.idpKind().made(c, in.IDP, func(map[string]any) (identity.IdentityProvider, error) {
		return h.identity.UpdateIdentityProvider(c.Context(), c.PathValue("id"), func(p *identity.IdentityProvider) error {
			in.IDP.put(p)
			return nil
		})
	})
}

type protocolLinks struct {
	Self string `json:"self"`
	IDP  string `json:"identity_provider"`
}

type protocolView struct {
	ID        string        `json:"id"`
	MappingID string        `json:"mapping_id"`
	Links     protocolLinks `json:"links"`
}

func viewProtocol(c *api.Call, p identity.Protocol) any {
	idp := c.URL("/OS-FEDERATION/identity_providers/" + p.IDPID)
	return protocolView{p.ID, p.MappingID, protocolLinks{idp + "/protocols/" + p.ID, idp}}
}

func (h handlers) protocolKind() kind[identity.Protocol] {
	return kind[identity.Protocol]{
		one: "protocol", many: "protocols", view: viewProtocol,
		all: func(c *api.Call) ([]identity.Protocol, error) {
			return h.identity.Protocols(c.Context(), c.PathValue("id"))
		},
	}
}

func (h handlers) showProtocol(c *api.Call) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	p, err := h.identity.Protocol(c.Context(), c.PathValue("idp_id"), c.PathValue("protocol_id"))
	return one(c, "protocol", viewProtocol, p, err)
}

type protocolCreate struct {
	MappingID         string  `json:"mapping_id" check:"required,min=1,max=64"`
	RemoteIDAttribute *string `json:"remote_id_attribute" check:"max=64"`
}

type createProtocolRequest struct {
	Protocol protocolCreate `json:"protocol" check:"required"`
}

func (h handlers) createProtocol(c *api.Call, in createProtocolRequest) (map[string]any, error) {
	return h.protocolKind().made(c, in.Protocol, func(map[string]any) (identity.Protocol, error) {
		return h.identity.CreateProtocol(c.Context(), identity.Protocol{IDPID: c.PathValue("idp_id"), ID: c.PathValue("protocol_id"),
			MappingID: in.Protocol.MappingID, RemoteIDAttribute: in.Protocol.RemoteIDAttribute})
	})
}

type updateProtocolRequest struct {
	Protocol struct {
		_                 struct{}        `check:"nonempty"`
		MappingID         *string         `json:"mapping_id" check:"min=1,max=64"`
		RemoteIDAttribute api.Opt[string] `json:"remote_id_attribute" check:"max=64"`
	} `json:"protocol" check:"required"`
}

func (h handlers) updateProtocol(c *api.Call, in updateProtocolRequest) (map[string]any, error) {
	return h.protocolKind().made(c, in.Protocol, func(map[string]any) (identity.Protocol, error) {
		return h.identity.UpdateProtocol(c.Context(), c.PathValue("idp_id"), c.PathValue("protocol_id"), func(p *identity.Protocol) error {
			set(&p.MappingID, in.Protocol.MappingID)
			setOptional(&p.RemoteIDAttribute, in.Protocol.RemoteIDAttribute)
			return nil
		})
	})
}

func (h handlers) deleteProtocol(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.identity.DeleteProtocol(c.Context(), c.PathValue("idp_id"), c.PathValue("protocol_id"))
}

type serviceProviderView struct {
	ID               string   `json:"id"`
	AuthURL          string   `json:"auth_url"`
	SPURL            string   `json:"sp_url"`
	Description      *string  `json:"description"`
	Enabled          bool     `json:"enabled"`
	RelayStatePrefix string   `json:"relay_state_prefix"`
	Links            selfLink `json:"links"`
}

func viewServiceProvider(c *api.Call, p identity.ServiceProvider) any {
	return serviceProviderView{p.ID, p.AuthURL, p.SPURL, p.Description, p.Enabled, p.RelayStatePrefix,
		selfLink{c.URL("/OS-FEDERATION/service_providers/" + p.ID)}}
}

func (h handlers) serviceProviderKind() kind[identity.ServiceProvider] {
	return kind[identity.ServiceProvider]{
		one: "service_provider", many: "service_providers", param: "id", view: viewServiceProvider,
		all: func(c *api.Call) ([]identity.ServiceProvider, error) {
			return h.identity.ServiceProviders(c.Context(), c.Query().Get("id"), enabledFilter(c))
		},
		get: h.identity.ServiceProvider, remove: h.identity.DeleteServiceProvider,
	}
}

type serviceProviderCreate struct {
	AuthURL          string  `json:"auth_url" check:"required,max=225,pattern=url"`
	SPURL            string  `json:"sp_url" check:"required,max=225,pattern=url"`
	Description      *string `json:"description"`
	Enabled          bool    `json:"enabled"`
	RelayStatePrefix *string `json:"relay_state_prefix"`
}

type createServiceProviderRequest struct {
	Provider serviceProviderCreate `json:"service_provider" check:"required"`
}

func (h handlers) createServiceProvider(c *api.Call, in createServiceProviderRequest) (map[string]any, error) {
	asked := in.Provider
	return h.serviceProviderKind().made(c, asked, func(map[string]any) (identity.ServiceProvider, error) {
		p := identity.ServiceProvider{ID: c.PathValue("id"), AuthURL: asked.AuthURL, SPURL: asked.SPURL, Description: asked.Description,
			Enabled: asked.Enabled, RelayStatePrefix: "ss:mem:"}
		set(&p.RelayStatePrefix, asked.RelayStatePrefix)
		return h.identity.CreateServiceProvider(c.Context(), p)
	})
}

type updateServiceProviderRequest struct {
	Provider struct {
		_                struct{}        `check:"nonempty"`
		AuthURL          *string         `json:"auth_url" check:"max=225,pattern=url"`
		SPURL            *string         `json:"sp_url" check:"max=225,pattern=url"`
		Description      api.Opt[string] `json:"description"`
		Enabled          *bool           `json:"enabled"`
		RelayStatePrefix *string         `json:"relay_state_prefix"`
	} `json:"service_provider" check:"required"`
}

func (h handlers) updateServiceProvider(c *api.Call, in updateServiceProviderRequest) (map[string]any, error) {
	return h.serviceProviderKind().made(c, in.Provider, func(map[string]any) (identity.ServiceProvider, error) {
		return h.identity.UpdateServiceProvider(c.Context(), c.PathValue("id"), func(p *identity.ServiceProvider) error {
			set(&p.AuthURL, in.Provider.AuthURL)
			set(&p.SPURL, in.Provider.SPURL)
			setOptional(&p.Description, in.Provider.Description)
			set(&p.Enabled, in.Provider.Enabled)
			set(&p.RelayStatePrefix, in.Provider.RelayStatePrefix)
			return nil
		})
	})
}
