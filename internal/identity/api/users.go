package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/identity"
)

func (h handlers) users() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/users", Rule: "identity:list_users", Do: api.Get(h.listUsers)},
		{Method: "POST", Path: "/users", Rule: "identity:create_user", OK: 201, Do: api.Body(h.createUser)},
		{Method: "GET", Path: "/users/{user_id}", Rule: "identity:get_user", Do: api.Get(h.showUser)},
		{Method: "PATCH", Path: "/users/{user_id}", Rule: "identity:update_user", Do: api.Body(h.updateUser)},
		{Method: "DELETE", Path: "/users/{user_id}", Rule: "identity:delete_user", OK: 204, Do: api.Empty(h.deleteUser)},
		{Method: "GET", Path: "/users/{user_id}/groups", Rule: "identity:list_groups_for_user", Do: api.Get(h.listUserGroups)},
		{Method: "GET", Path: "/users/{user_id}/projects", Rule: "identity:list_user_projects", Do: api.Get(h.listUserProjects)},
		{Method: "POST", Path: "/users/{user_id}/password", Public: true, OK: 204, Do: api.BodyEmpty(h.changePassword)},
	}
}

type userView struct {
	ID                string         `json:"id"`
	Name              string         `json:"name"`
	DomainID          string         `json:"domain_id"`
	Enabled           bool           `json:"enabled"`
	DefaultProjectID  string         `json:"default_project_id,omitempty"`
	Description       *string        `json:"description,omitempty"`
	Email             *string        `json:"email,omitempty"`
	PasswordExpiresAt stamp          `json:"password_expires_at"`
	Options           map[string]any `json:"options"`
	Federated         []federatedIDP `json:"federated,omitempty"`
	Links             selfLink       `json:"links"`
}

// federatedIDP is as whom a provider knows a user.
type federatedIDP struct {
	IDP       string              `json:"idp_id" check:"required"`
	Protocols []federatedProtocol `json:"protocols" check:"required,min=1"`
}

type federatedProtocol struct {
	Protocol string `json:"protocol_id" check:"required"`
	Unique   string `json:"unique_id" check:"required"`
}

// viewFederated groups by provider what is in the order of providers.
func viewFederated(ids []identity.FederatedID) []federatedIDP {
	var out []federatedIDP
	for _, id := range ids {
		if len(out) == 0 || out[len(out)-1].IDP != id.IDP {
			out = append(out, federatedIDP{IDP: id.IDP})
		}
		last := &out[len(out)-1]
		last.Protocols = append(last.Protocols, federatedProtocol{id.Protocol, id.Unique})
	}
	return out
}

func federatedIDs(list []federatedIDP) []identity.FederatedID {
	var out []identity.FederatedID
	for _, provider := range list {
		for _, p := range provider.Protocols {
			out = append(out, identity.FederatedID{IDP: provider.IDP, Protocol: p.Protocol, Unique: p.Unique})
		}
	}
	return out
}

type userReply struct {
	User open `json:"user"`
}

type usersReply struct {
	Users     []open    `json:"users"`
	Links     listLinks `json:"links"`
	Truncated bool      `json:"truncated,omitempty"` // a directory has more
}

func viewUser(c *api.Call, u identity.User) open {
	return open{userView{
		ID: u.ID, Name: u.Name, DomainID: u.DomainID, Enabled: u.Enabled, DefaultProjectID: u.DefaultProjectID,
		Description: u.Description, Email: u.Email, PasswordExpiresAt: stamp(u.PasswordExpiresAt.Time()),
		Options: u.Options.V, Federated: viewFederated(u.Federated), Links: selfLink{c.URL("/users/" + u.ID)},
	}, u.Extra.V}
}

func viewUsers(c *api.Call, users []identity.User, more bool) usersReply {
	reply := usersReply{Links: links(c), Truncated: more}
	for _, u := range users {
		reply.Users = append(reply.Users, viewUser(c, u))
	}
	return reply
}

func userTarget(u identity.User) auth.Target {
	return auth.Target{User: u.ID, Domain: u.DomainID, Attrs: map[string]string{
		"target.user.id": u.ID, "target.user.domain_id": u.DomainID,
	}}
}

func (h handlers) findUser(c *api.Call) (identity.User, error) {
	u, err := h.identity.User(c.Context(), c.PathValue("user_id"))
	return foundFor(c, u, err, userTarget)
}

func (h handlers) listUsers(c *api.Call) (usersReply, error) {
	domain, err := authorizeList(c, "target.domain_id")
	if err != nil {
		return usersReply{}, err
	}
	q := c.Query()
	users, more, err := h.identity.Users(c.Context(), identity.UserFilter{
		Federated: identity.FederatedID{IDP: q.Get("idp_id"), Protocol: q.Get("protocol_id"), Unique: q.Get("unique_id")},
		DomainID:  domain, Name: c.Query().Get("name"), NameParts: nameParts(c), Enabled: enabledFilter(c),
	})
	if err != nil {
		return usersReply{}, err
	}
	return viewUsers(c, users, more), nil
}

func (h handlers) showUser(c *api.Call) (userReply, error) {
	u, err := h.findUser(c)
	if err != nil {
		return userReply{}, err
	}
	return userReply{viewUser(c, u)}, nil
}

type userCreate struct {
	_                struct{}       `check:"open"`
	Name             string         `json:"name" check:"required,min=1,max=255,pattern=nonblank"`
	DomainID         string         `json:"domain_id" check:"min=1,max=64"`
	Enabled          *bool          `json:"enabled"`
	DefaultProjectID *string        `json:"default_project_id"`
	Description      *string        `json:"description"`
	Email            *string        `json:"email"`
	Password         *string        `json:"password"`
	Options          map[string]any `json:"options"`
	Federated        []federatedIDP `json:"federated"`
}

type createUserRequest struct {
	_    struct{}   `check:"open"`
	User userCreate `json:"user" check:"required"`
}

func (h handlers) createUser(c *api.Call, in createUserRequest) (userReply, error) {
	u := identity.User{
		Name: in.User.Name, DomainID: callerDomain(c, in.User.DomainID), Enabled: orTrue(in.User.Enabled),
		DefaultProjectID: text(in.User.DefaultProjectID), Description: in.User.Description, Email: in.User.Email,
		Options: db.Of(in.User.Options), Federated: federatedIDs(in.User.Federated),
	}
	err := c.Authorize(userTarget(u))
	if err != nil {
		return userReply{}, err
	}
	err = identity.CheckUserOptions(in.User.Options)
	if err != nil {
		return userReply{}, err
	}
	extra, err := extraOf(c, "user", in.User)
	if err != nil {
		return userReply{}, err
	}
	u.Extra = db.Of(extra)
	u, err = h.identity.CreateUser(c.Context(), u, in.User.Password)
	if err != nil {
		return userReply{}, err
	}
	return userReply{viewUser(c, u)}, nil
}

type userUpdate struct {
	_                struct{}        `check:"open"`
	Name             *string         `json:"name" check:"min=1,max=255,pattern=nonblank"`
	DomainID         *string         `json:"domain_id"`
	Enabled          *bool           `json:"enabled"`
	DefaultProjectID api.Opt[string] `json:"default_project_id"`
	Description      api.Opt[string] `json:"description"`
	Email            api.Opt[string] `json:"email"`
	Password         *string         `json:"password"`
	Options          *map[string]any `json:"options"`
	Federated        []federatedIDP  `json:"federated"`
}

type updateUserRequest struct {
	_    struct{}   `check:"open"`
	User userUpdate `json:"user" check:"required"`
}

func (h handlers) updateUser(c *api.Call, in updateUserRequest) (userReply, error) {
	u, err := h.findUser(c)
	if err != nil {
		return userReply{}, err
	}
	err = unchangeable("domain_id", in.User.DomainID, u.DomainID)
	if err != nil {
		return userReply{}, err
	}
	if in.User.Options != nil {
		err = identity.CheckUserOptions(*in.User.Options)
		if err != nil {
			return userReply{}, err
		}
	}
	extra, err := extraOf(c, "user", in.User)
	if err != nil {
		return userReply{}, err
	}
	u, err = h.identity.UpdateUser(c.Context(), u.ID, in.User.Password, func(u *identity.User) error {
		set(&u.Name, in.User.Name)
		set(&u.Enabled, in.User.Enabled)
		if in.User.DefaultProjectID.Set {
			u.DefaultProjectID = in.User.DefaultProjectID.V
		}
		setOptional(&u.Description, in.User.Description)
		setOptional(&u.Email, in.User.Email)
		u.Options.V = changedOptions(u.Options.V, in.User.Options)
		u.Extra.V = merged(u.Extra.V, extra)
		if in.User.Federated != nil {
			u.Federated = federatedIDs(in.User.Federated)
		}
		return nil
	})
	if err != nil {
		return userReply{}, err
	}
	return userReply{viewUser(c, u)}, nil
}

func setOptional(have **string, asked api.Opt[string]) {
	switch {
	case !asked.Set:
	case asked.Null:
		*have = nil
	default:
		*have = &asked.V
	}
}

func (h handlers) deleteUser(c *api.Call) error {
	u, err := h.findUser(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteUser(c.Context(), u.ID)
}

func (h handlers) listUserGroups(c *api.Call) (groupsReply, error) {
	u, err := h.findUser(c)
	if err != nil {
		return groupsReply{}, err
	}
	groups, err := h.identity.GroupsOf(c.Context(), u.ID, c.Query().Get("name"))
	if err != nil {
		return groupsReply{}, err
	}
	return viewGroups(c, groups, false), nil
}

func (h handlers) listUserProjects(c *api.Call) (projectsReply, error) {
	u, err := h.findUser(c)
	if err != nil {
		return projectsReply{}, err
	}
	projects, err := h.identity.ProjectsOf(c.Context(), identity.Holder{User: u.ID})
	if err != nil {
		return projectsReply{}, err
	}
	return viewProjects(c, projects), nil
}

type changePasswordRequest struct {
	_    struct{} `check:"open"`
	User struct {
		Original string `json:"original_password" check:"required"`
		Password string `json:"password" check:"required"`
	} `json:"user" check:"required"`
}

func (h handlers) changePassword(c *api.Call, in changePasswordRequest) error {
	return h.identity.ChangePassword(c.Context(), c.PathValue("user_id"), in.User.Original, in.User.Password)
}
