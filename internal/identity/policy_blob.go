package identity

import (
	"context"

	"github.com/uptrace/bun"

	"nacre/internal/db"
)

// PolicyBlob is a policy that services may fetch. Keystone keeps it without
// reading it, and so do we: the rules of this cloud come from its settings.
type PolicyBlob struct {
	bun.BaseModel `bun:"table:policies"`

	ID    string `bun:",pk"`
	Type  string
	Blob  string
	Extra Extra
}

// Policies lists policies; "" is any type.
func (s *Service) Policies(ctx context.Context, kind string) ([]PolicyBlob, error) {
	return list[PolicyBlob](ctx, s, "policies", func(q *bun.SelectQuery) *bun.SelectQuery {
		return equal(q.Order("id"), "type", kind)
	})
}

// PolicyBlob finds a policy by id.
func (s *Service) PolicyBlob(ctx context.Context, id string) (PolicyBlob, error) {
	return get[PolicyBlob](ctx, s, "policy", id)
}

// CreatePolicyBlob adds a policy.
func (s *Service) CreatePolicyBlob(ctx context.Context, p PolicyBlob) (PolicyBlob, error) {
	p.ID = s.newID()
	return insert(ctx, s, "policy", p.ID, p, complete)
}

// UpdatePolicyBlob changes a policy by the function.
func (s *Service) UpdatePolicyBlob(ctx context.Context, id string, change func(p *PolicyBlob) error) (PolicyBlob, error) {
	return update(ctx, s, "policy", id, func(_ *db.Tx, p *PolicyBlob) error { return change(p) }, "type", "blob", "extra")
}

// DeletePolicyBlob removes a policy.
func (s *Service) DeletePolicyBlob(ctx context.Context, id string) error {
	return remove[PolicyBlob](ctx, s, "policy", id, nothing)
}
