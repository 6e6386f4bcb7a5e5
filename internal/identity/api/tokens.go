package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) tokens() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/auth/tokens", Public: true, OK: 201, Do: api.Body(h.issueToken)},
		{Method: "GET", Path: "/auth/tokens", Rule: "identity:validate_token", Do: api.Get(h.showToken)},
		{Method: "HEAD", Path: "/auth/tokens", Rule: "identity:check_token", Do: api.Get(h.showToken)},
		{Method: "DELETE", Path: "/auth/tokens", Rule: "identity:revoke_token", OK: 204, Do: api.Empty(h.revokeToken)},
		{Method: "GET", Path: "/auth/catalog", Rule: "identity:get_auth_catalog", Do: api.Get(h.authCatalog)},
		{Method: "GET", Path: "/auth/projects", Rule: "identity:get_auth_projects", Do: api.Get(h.authProjects)},
		{Method: "GET", Path: "/auth/domains", Rule: "identity:get_auth_domains", Do: api.Get(h.authDomains)},
		{Method: "GET", Path: "/auth/system", Rule: "identity:get_auth_system", Do: api.Get(h.authSystem)},
	}
}

type domainRequest struct {
	_    struct{} `check:"open"`
	ID   string   `json:"id"`
	Name string   `json:"name"`
}

// userRequest names a user by id, or by name and domain.
type userRequest struct {
	_      struct{}       `check:"open"`
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	Domain *domainRequest `json:"domain"`
}

func (u userRequest) ref(where string) (identity.Ref, error) {
	ref := identity.Ref{ID: u.ID, Name: u.Name, Domain: domainRef(u.Domain)}
	switch {
	case u.ID == "" && u.Name == "":
		return ref, errs.BadRequestf("Invalid input for field identity/%s/user: id or name must be present.", where)
	case u.ID == "" && ref.Domain == nil:
		return ref, missing("domain", "user")
	}
	return ref, nil
}

// mappedRequest gives an unscoped token of a sign-in by a provider for one with a
// scope, as method token does too.
type mappedRequest struct {
	_  struct{} `check:"open"`
	ID string   `json:"id" check:"required"`
}

type tokenRequest struct {
	_    struct{} `check:"open"`
	Auth struct {
		_        struct{} `check:"open"`
		Identity struct {
			_        struct{} `check:"open"`
			Methods  []string `json:"methods" check:"required"`
			Password *struct {
				_    struct{} `check:"open"`
				User *struct {
					_ struct{} `check:"open"`
					userRequest
					Password string `json:"password"`
				} `json:"user"`
			} `json:"password"`
			Token *struct {
				_  struct{} `check:"open"`
				ID string   `json:"id" check:"required"`
			} `json:"token"`
			Mapped *mappedRequest `json:"mapped"`
			SAML2  *mappedRequest `json:"saml2"`
			OpenID *mappedRequest `json:"openid"`
			TOTP   *struct {
				_    struct{} `check:"open"`
				User *struct {
					_ struct{} `check:"open"`
					userRequest
					Passcode string `json:"passcode"`
				} `json:"user"`
			} `json:"totp"`
			AppCredential *struct {
				_      struct{}     `check:"open"`
				ID     string       `json:"id"`
				Name   string       `json:"name"`
				Secret string       `json:"secret"`
				User   *userRequest `json:"user"`
			} `json:"application_credential"`
		} `json:"identity" check:"required"`
		Scope json.RawMessage `json:"scope"` // an object or the word unscoped
	} `json:"auth" check:"required"`
}

type scopeRequest struct {
	Project *struct {
		ID     string         `json:"id"`
		Name   string         `json:"name"`
		Domain *domainRequest `json:"domain"`
	} `json:"project"`
	Domain *domainRequest `json:"domain"`
	System *struct {
		All *bool `json:"all"`
	} `json:"system"`
	Unscoped json.RawMessage `json:"unscoped"`
	Trust    *struct {
		ID string `json:"id"`
	} `json:"OS-TRUST:trust"`
}

func missing(attribute, target string) error {
	return errs.BadRequestf("Expecting to find %s in %s. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.", attribute, target)
}

type receiptView struct {
	Methods   []string     `json:"methods"`
	User      tokenProject `json:"user"`
	ExpiresAt stamp        `json:"expires_at"`
	IssuedAt  stamp        `json:"issued_at"`
}

type receiptReply struct {
	Receipt  receiptView `json:"receipt"`
	Required [][]string  `json:"required_auth_methods"`
}

// viewReceipt answers 401 with a receipt for the methods that were right.
func viewReceipt(c *api.Call, i *identity.Insufficient) receiptReply {
	c.SetStatus(http.StatusUnauthorized)
	c.SetHeader("Openstack-Auth-Receipt", i.Receipt)
	return receiptReply{Required: i.Required, Receipt: receiptView{
		Methods: i.Methods, User: tokenProject{idName{i.Domain, i.DomainName}, i.User, i.UserName},
		ExpiresAt: stamp(i.ExpiresAt), IssuedAt: stamp(i.IssuedAt),
	}}
}

// issueToken answers with a token or, when more methods are wanted, a receipt.
func (h handlers) issueToken(c *api.Call, in tokenRequest) (any, error) {
	issued, err := h.issue(c, in)
	var more *identity.Insufficient
	if errors.As(err, &more) {
		return viewReceipt(c, more), nil
	}
	if errs.Is(err, errs.Unauthorized) {
		c.SetHeader("WWW-Authenticate", `Keystone uri="`+c.Base()+`/identity"`)
	}
	if err != nil {
		return nil, err
	}
	c.Log("subject_user_id", issued.User)
	return h.viewToken(c, issued)
}

func (h handlers) issue(c *api.Call, in tokenRequest) (*identity.Issued, error) {
	login, err := loginOf(c, in)
	if err != nil {
		return nil, err
	}
	scope, err := scopeOf(in.Auth.Scope)
	if err != nil {
		return nil, err
	}
	return h.identity.Issue(c.Context(), login, scope)
}

func loginOf(c *api.Call, in tokenRequest) (identity.Login, error) {
	login := identity.Login{Receipt: c.Header("Openstack-Auth-Receipt")}
	if len(in.Auth.Identity.Methods) == 0 {
		return login, errs.Unauthorizedf("The request you have made requires authentication.")
	}
	for _, method := range in.Auth.Identity.Methods {
		switch method {
		case "password":
			p := in.Auth.Identity.Password
			if p == nil {
				return login, missing("password", "identity")
			}
			if p.User == nil {
				return login, missing("user", "password")
			}
			ref, err := p.User.ref(method)
			if err != nil {
				return login, err
			}
			login.Password = &identity.PasswordLogin{User: ref, Password: p.User.Password}
		case "totp":
			p := in.Auth.Identity.TOTP
			if p == nil {
				return login, missing("totp", "identity")
			}
			if p.User == nil {
				return login, missing("user", "totp")
			}
			ref, err := p.User.ref(method)
			if err != nil {
				return login, err
			}
			login.TOTP = &identity.TOTPLogin{User: ref, Passcode: p.User.Passcode}
		case "application_credential":
			a := in.Auth.Identity.AppCredential
			if a == nil {
				return login, missing("application_credential", "identity")
			}
			login.AppCredential = &identity.AppCredentialLogin{ID: a.ID, Name: a.Name, Secret: a.Secret}
			if a.ID != "" {
				continue
			}
			if a.Name == "" {
				return login, missing("name or ID", "application credential")
			}
			if a.User == nil {
				return login, missing("user", "application credential")
			}
			var err error
			login.AppCredential.User, err = a.User.ref(method)
			if err != nil {
				return login, err
			}
		case "token":
			if in.Auth.Identity.Token == nil {
				return login, missing("token", "identity")
			}
			login.Token = in.Auth.Identity.Token.ID
			if login.Token == "" {
				return login, errs.Unauthorizedf("The request you have made requires authentication.")
			}
		case "mapped", "saml2", "openid":
			i := in.Auth.Identity
			m := map[string]*mappedRequest{"mapped": i.Mapped, "saml2": i.SAML2, "openid": i.OpenID}[method]
			if m == nil {
				return login, missing(method, "identity")
			}
			login.Token, login.Federated = m.ID, true
		case "oauth1":
			r, err := signedOAuth(c, "oauth_token")
			if err != nil {
				return login, err
			}
			login.OAuth = &r
		default:
			return login, errs.Unauthorizedf("Attempted to authenticate with an unsupported method.")
		}
	}
	return login, nil
}

// domainRef is nil for a domain that is missing or names nothing.
func domainRef(d *domainRequest) *identity.Ref {
	if d == nil || (d.ID == "" && d.Name == "") {
		return nil
	}
	return &identity.Ref{ID: d.ID, Name: d.Name}
}

func scopeOf(raw json.RawMessage) (identity.Scope, error) {
	var word string
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &word) == nil {
		return identity.Scope{Unscoped: word == "unscoped"}, nil
	}
	var in scopeRequest
	err := json.Unmarshal(raw, &in)
	if err != nil {
		return identity.Scope{}, errs.BadRequestf("Invalid input for field 'scope': it is neither an object nor the word unscoped.").Because(err)
	}
	var scope identity.Scope
	chosen := 0
	if in.Project != nil {
		chosen++
		if in.Project.ID == "" && in.Project.Name == "" {
			return scope, errs.BadRequestf("Invalid input for field scope/project: id or name must be present.")
		}
		scope.Project = &identity.Ref{ID: in.Project.ID, Name: in.Project.Name, Domain: domainRef(in.Project.Domain)}
		if in.Project.ID == "" && scope.Project.Domain == nil {
			return scope, missing("domain", "project")
		}
	}
	if in.Domain != nil {
		chosen++
		scope.Domain = domainRef(in.Domain)
		if scope.Domain == nil {
			return scope, errs.BadRequestf("Invalid input for field scope/domain: id or name must be present.")
		}
	}
	if in.System != nil {
		chosen++
		scope.System = in.System.All != nil && *in.System.All
		if !scope.System {
			return scope, missing("all", "system")
		}
	}
	if in.Trust != nil {
		chosen++
		scope.Trust = in.Trust.ID
		if scope.Trust == "" {
			return scope, missing("trust_id", "trust")
		}
	}
	if in.Unscoped != nil {
		chosen++
		scope.Unscoped = true
	}
	if chosen != 1 {
		return scope, missing("exactly one of project, domain, system, OS-TRUST:trust or unscoped", "scope")
	}
	return scope, nil
}

// subject validates the token the call is about. Callers that ask for their own
// token, and those the rule lets pass, hear about it.
func (h handlers) subject(c *api.Call) (*identity.Issued, error) {
	text := c.Header("X-Subject-Token")
	if text == "" {
		err := c.Authorize(auth.Target{})
		if err != nil {
			return nil, err
		}
		return nil, errs.NotFoundf("No token in the request")
	}
	issued, err := h.identity.Validate(c.Context(), text)
	if errs.Is(err, errs.Unauthorized) {
		return nil, errs.NotFoundf("Failed to validate token").Because(err)
	}
	if err != nil {
		return nil, err
	}
	err = c.Authorize(auth.Target{Attrs: map[string]string{"target.token.user_id": issued.User}})
	if err != nil {
		return nil, err
	}
	if len(issued.AccessRules) > 0 && c.Header("OpenStack-Identity-Access-Rules") == "" && issued.Token != c.Caller.Token {
		// The asker doesn't say that it obeys access rules.
		return nil, errs.NotFoundf("Failed to validate token")
	}
	return issued, nil
}

func (h handlers) showToken(c *api.Call) (tokenReply, error) {
	issued, err := h.subject(c)
	if err != nil {
		return tokenReply{}, err
	}
	return h.viewToken(c, issued)
}

func (h handlers) revokeToken(c *api.Call) error {
	issued, err := h.subject(c)
	if err != nil {
		return err
	}
	return h.identity.Revoke(c.Context(), issued)
}

type idName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// tokenProject is a project, or a user, with its domain.
type tokenProject struct {
	Domain idName `json:"domain"`
	ID     string `json:"id"`
	Name   string `json:"name"`
}

type tokenView struct {
	Methods   []string           `json:"methods"`
	User      tokenUser          `json:"user"`
	AuditIDs  []string           `json:"audit_ids"`
	ExpiresAt stamp              `json:"expires_at"`
	IssuedAt  stamp              `json:"issued_at"`
	Project   *tokenProject      `json:"project,omitempty"`
	IsDomain  *bool              `json:"is_domain,omitempty"`
	Domain    *idName            `json:"domain,omitempty"`
	System    map[string]bool    `json:"system,omitempty"`
	Roles     []identity.RoleRef `json:"roles,omitempty"`
	Catalog   *[]catalogEntry    `json:"catalog,omitempty"`

	Trust         *tokenTrust         `json:"OS-TRUST:trust,omitempty"`
	AppCredential *tokenAppCredential `json:"application_credential,omitempty"`
	OAuth         *tokenOAuth         `json:"OS-OAUTH1,omitempty"`
	Certificate   *tokenCertificate   `json:"oauth2_credential,omitempty"`
	Providers     []tokenProvider     `json:"service_providers,omitempty"`
}

// tokenProvider is a cloud that takes the bearer of the token.
type tokenProvider struct {
	ID      string `json:"id"`
	AuthURL string `json:"auth_url"`
	SPURL   string `json:"sp_url"`
}

// tokenOAuth is the access token that a token came from.
type tokenOAuth struct {
	AccessTokenID string `json:"access_token_id"`
	ConsumerID    string `json:"consumer_id"`
}

// tokenCertificate is the certificate that a token is bound to.
type tokenCertificate struct {
	Thumbprint string `json:"x5t#S256"`
}

// tokenTrust is the trust that a token came from.
type tokenTrust struct {
	ID            string `json:"id"`
	Trustor       onlyID `json:"trustor_user"`
	Trustee       onlyID `json:"trustee_user"`
	Impersonation bool   `json:"impersonation"`
}

type onlyID struct {
	ID string `json:"id"`
}

// tokenAppCredential is the application credential that a token came from.
type tokenAppCredential struct {
	ID          string           `json:"id"`
	Name        string           `json:"name"`
	Restricted  bool             `json:"restricted"`
	AccessRules []accessRuleView `json:"access_rules,omitempty"`
}

type tokenReply struct {
	Token tokenView `json:"token"`
}

// viewToken hands out a token with all it stands for.
func (h handlers) viewToken(c *api.Call, i *identity.Issued) (tokenReply, error) {
	c.SetHeader("X-Subject-Token", i.Token)
	return h.describeToken(c, i)
}

func (h handlers) describeToken(c *api.Call, i *identity.Issued) (tokenReply, error) {
	v := tokenView{
		Methods:   i.Methods,
		User:      viewTokenUser(i),
		AuditIDs:  i.AuditIDs,
		ExpiresAt: stamp(i.ExpiresAt),
		IssuedAt:  stamp(i.IssuedAt),
		Roles:     i.RoleRefs,
	}
	if t := i.TrustedBy; t != nil {
		v.Trust = &tokenTrust{t.ID, onlyID{t.TrustorUserID}, onlyID{t.TrusteeUserID}, t.Impersonation}
	}
	if a := i.CredentialOf; a != nil {
		v.AppCredential = &tokenAppCredential{a.ID, a.Name, !a.Unrestricted, viewRules(a.AccessRules)}
	}
	if i.AccessToken != "" {
		v.OAuth = &tokenOAuth{i.AccessToken, i.Consumer}
	}
	if i.Thumbprint != "" {
		v.Certificate = &tokenCertificate{i.Thumbprint}
	}
	switch {
	case i.Project != "":
		v.Project = &tokenProject{idName{i.ProjectDomain, i.ProjectDomainName}, i.Project, i.ProjectName}
		v.IsDomain = new(bool)
	case i.Domain != "":
		v.Domain = &idName{i.Domain, i.DomainName}
	case i.System:
		v.System = map[string]bool{"all": true}
	}
	providers, err := h.identity.OpenProviders(c.Context())
	if err != nil {
		return tokenReply{}, err
	}
	for _, p := range providers {
		v.Providers = append(v.Providers, tokenProvider{p.ID, p.AuthURL, p.SPURL})
	}
	if i.Scoped() && !c.Query().Has("nocatalog") {
		catalog, err := h.viewCatalog(c, i.Project)
		if err != nil {
			return tokenReply{}, err
		}
		v.Catalog = &catalog
	}
	return tokenReply{v}, nil
}

type catalogEntry struct {
	Endpoints []catalogEndpoint `json:"endpoints"`
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	Name      string            `json:"name"`
}

type catalogEndpoint struct {
	ID        string  `json:"id"`
	Interface string  `json:"interface"`
	RegionID  *string `json:"region_id"`
	URL       string  `json:"url"`
	Region    *string `json:"region"`
}

func (h handlers) viewCatalog(c *api.Call, project string) ([]catalogEntry, error) {
	entries, err := h.identity.Catalog(c.Context(), project)
	if err != nil {
		return nil, err
	}
	out := make([]catalogEntry, 0, len(entries))
	for _, e := range entries {
		v := catalogEntry{ID: e.Service.ID, Type: e.Service.Type, Name: e.Service.Name}
		for _, endpoint := range e.Endpoints {
			url, ok := endpoint.Address(c.Base(), project)
			if !ok {
				continue
			}
			region := orNull(endpoint.RegionID)
			v.Endpoints = append(v.Endpoints, catalogEndpoint{endpoint.ID, endpoint.Interface, region, url, region})
		}
		out = append(out, v)
	}
	return out, nil
}

// orNull makes null of an empty id.
func orNull(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

type catalogReply struct {
	Catalog []catalogEntry `json:"catalog"`
	Links   selfLink       `json:"links"`
}

func (h handlers) authCatalog(c *api.Call) (catalogReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return catalogReply{}, err
	}
	if c.Caller.Project == "" {
		return catalogReply{}, errs.Forbiddenf("A project-scoped token is required to produce a service catalog.")
	}
	catalog, err := h.viewCatalog(c, c.Caller.Project)
	return catalogReply{catalog, selfLink{c.URL("/auth/catalog")}}, err
}

func (h handlers) authProjects(c *api.Call) (projectsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return projectsReply{}, err
	}
	projects, err := h.identity.ProjectsOf(c.Context(), holder(c))
	return viewProjects(c, projects), err
}

func (h handlers) authDomains(c *api.Call) (domainsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return domainsReply{}, err
	}
	domains, err := h.identity.DomainsOf(c.Context(), holder(c))
	return viewDomains(c, domains), err
}

type systemReply struct {
	System []map[string]bool `json:"system"`
	Links  selfLink          `json:"links"`
}

func (h handlers) authSystem(c *api.Call) (systemReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return systemReply{}, err
	}
	has, err := h.identity.OnSystem(c.Context(), holder(c))
	reply := systemReply{Links: selfLink{c.URL("/auth/system")}}
	if has {
		reply.System = []map[string]bool{{"all": true}}
	}
	return reply, err
}
