package api

import (
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

func (h handlers) revocations() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/OS-REVOKE/events", Rule: "identity:list_revoke_events", Do: api.Get(h.listRevocations)},
	}
}

type revocationView struct {
	UserID       string `json:"user_id,omitempty"`
	ProjectID    string `json:"project_id,omitempty"`
	DomainID     string `json:"domain_id,omitempty"`
	AuditID      string `json:"audit_id,omitempty"`
	ExpiresAt    *stamp `json:"expires_at,omitempty"`
	IssuedBefore *stamp `json:"issued_before,omitempty"`
	RevokedAt    *stamp `json:"revoked_at,omitempty"`
}

type revocationsReply struct {
	Events []revocationView `json:"events"`
	Links  listLinks        `json:"links"`
}

func orNoStamp(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

func (h handlers) listRevocations(c *api.Call) (revocationsReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return revocationsReply{}, err
	}
	var since time.Time
	if text := c.Query().Get("since"); text != "" {
		since, err = db.ParseTime(text)
		if err != nil {
			return revocationsReply{}, errs.BadRequestf("invalidate date format %.64s", text).Because(err)
		}
	}
	found, err := h.identity.Revocations(c.Context(), since)
	reply := revocationsReply{Links: links(c)}
	for _, r := range found {
		at := orNoStamp(r.At)
		reply.Events = append(reply.Events, revocationView{r.UserID, r.ProjectID, r.DomainID, r.AuditID, orNoStamp(r.ExpiresAt), at, at})
	}
	return reply, err
}
