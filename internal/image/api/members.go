package api

import (
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/image"
)

func (h handlers) memberRoutes() []api.Route {
	const all = "/v2/images/{image_id}/members"
	const one = all + "/{member_id}"
	return []api.Route{
		{Method: "POST", Path: all, Rule: "add_member", Do: api.Get(h.addMember)},
		{Method: "GET", Path: one, Rule: "get_member", Do: api.Get(h.showMember)},
		{Method: "GET", Path: all, Rule: "get_members", Do: api.Get(h.listMembers)},
		{Method: "PUT", Path: one, Rule: "modify_member", Do: api.Get(h.updateMember)},
		{Method: "DELETE", Path: one, Rule: "delete_member", OK: 204, Do: api.Empty(h.removeMember)},
	}
}

type memberView struct {
	Image     string    `json:"image_id"`
	Member    string    `json:"member_id"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Schema    string    `json:"schema"`
}

type membersView struct {
	Members []memberView `json:"members"`
	Schema  string       `json:"schema"`
}

func viewMember(m image.Member) memberView {
	return memberView{m.Image, m.Member, m.Status, m.CreatedAt.Time(), m.UpdatedAt.Time(), "/v2/schemas/member"}
}

// sharing finds the image of a call on its members.
func (h handlers) sharing(c *api.Call) (image.Image, error) {
	found, err := h.images.Image(c.Context(), viewer(c), c.PathValue("image_id"))
	if errs.Is(err, errs.NotFound) {
		return image.Image{}, errs.NotFoundf("Image %s not found.", c.PathValue("image_id"))
	}
	if err == nil && found.Visibility != image.Shared {
		return image.Image{}, errs.Forbiddenf("Only shared images have members.")
	}
	return found, err
}

// shared is what the rules about members look at.
func shared(i image.Image, member string) auth.Target {
	return auth.Target{Project: i.Owner, Attrs: map[string]string{"owner": i.Owner, "visibility": i.Visibility, "member_id": member}}
}

// member finds the membership that the path names and authorizes the row's rule.
func (h handlers) member(c *api.Call) (image.Member, error) {
	found, err := h.sharing(c)
	if err != nil {
		return image.Member{}, err
	}
	member, err := h.images.Member(c.Context(), viewer(c), found, c.PathValue("member_id"))
	if err != nil {
		return image.Member{}, err
	}
	return member, c.Authorize(shared(found, member.Member))
}

type newMember struct {
	Member string   `json:"member" check:"required,min=1,max=255"`
	_      struct{} `check:"open"`
}

func (h handlers) addMember(c *api.Call) (memberView, error) {
	var in newMember
	found, err := h.sharing(c)
	if err != nil {
		return memberView{}, err
	}
	err = c.Authorize(shared(found, ""))
	if err != nil {
		return memberView{}, err
	}
	err = body(c, &in)
	if err != nil {
		return memberView{}, err
	}
	made, err := h.images.AddMember(c.Context(), found.ID, in.Member)
	return viewMember(made), err
}

func (h handlers) showMember(c *api.Call) (memberView, error) {
	found, err := h.member(c)
	if errs.Is(err, errs.Forbidden) {
		return memberView{}, errs.NotFoundf("Only shared images have members.")
	}
	return viewMember(found), err
}

func (h handlers) listMembers(c *api.Call) (membersView, error) {
	found, err := h.sharing(c)
	if err != nil {
		return membersView{}, err
	}
	err = c.Authorize(shared(found, c.Caller.Project))
	if err != nil {
		return membersView{}, err
	}
	members, err := h.images.Members(c.Context(), viewer(c), found)
	reply := membersView{Schema: "/v2/schemas/members"}
	for _, m := range members {
		reply.Members = append(reply.Members, viewMember(m))
	}
	return reply, err
}

type memberAnswer struct {
	Status string   `json:"status" check:"required"`
	_      struct{} `check:"open"`
}

func (h handlers) updateMember(c *api.Call) (memberView, error) {
	var in memberAnswer
	found, err := h.member(c)
	if err != nil {
		return memberView{}, err
	}
	err = body(c, &in)
	if err != nil {
		return memberView{}, err
	}
	if !slices.Contains(image.MemberStatuses, in.Status) {
		return memberView{}, errs.BadRequestf("Incorrect request: Status of a member is one of %s, not %q.", strings.Join(image.MemberStatuses, ", "), in.Status)
	}
	changed, err := h.images.SetMemberStatus(c.Context(), found, in.Status)
	return viewMember(changed), err
}

func (h handlers) removeMember(c *api.Call) error {
	found, err := h.member(c)
	if err != nil {
		return err
	}
	return h.images.RemoveMember(c.Context(), found)
}
