package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// The states of a membership. A member may use the image in each of them; the
// lists show what was accepted.
const (
	Pending  = "pending"
	Accepted = "accepted"
	Rejected = "rejected"
)

// MemberStatuses are the values that the API takes.
var MemberStatuses = []string{Pending, Accepted, Rejected}

// MaxMembers is how many projects an image may be shared with, Glance's default.
const MaxMembers = 128

// Member is a project that an image is shared with.
type Member struct {
	bun.BaseModel `bun:"table:image_members"`

	Image     string `bun:",pk"`
	Member    string `bun:",pk"` // project id
	Status    string
	CreatedAt db.Time
	UpdatedAt db.Time
}

// AddMember shares an image with a project.
func (s *Service) AddMember(ctx context.Context, id, project string) (Member, error) {
	var member Member
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		now := db.At(tx.Now())
		member = Member{Image: id, Member: project, Status: Pending, CreatedAt: now, UpdatedAt: now}
		var others int
		err := tx.Get(ctx, &others, "SELECT COUNT(*) FROM image_members WHERE image = ?", id)
		if err != nil {
			return err
		}
		if others >= MaxMembers {
			return errs.TooLargef("Image member limit exceeded for image %s: Attempted: %d, Maximum: %d", id, others+1, MaxMembers)
		}
		err = tx.Insert(ctx, &member)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Member %s is duplicated for image %s", project, id)
		}
		if err != nil {
			return err
		}
		return emitMember(ctx, tx, "image.member.create", member)
	})
	if err != nil {
		return Member{}, fmt.Errorf("share image %s: %w", id, err)
	}
	return member, nil
}

// Members lists the projects that an image is shared with. A project that is
// one of them sees only itself.
func (s *Service) Members(ctx context.Context, who Viewer, i Image) (members []Member, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().TableExpr("image_members").ColumnExpr("*").Where("image = ?", i.ID).OrderExpr("created_at, member")
		if !who.owns(i) {
			q = q.Where("member = ?", who.Project)
		}
		return q.Scan(ctx, &members)
	})
	if err != nil {
		return nil, fmt.Errorf("list members of image %s: %w", i.ID, err)
	}
	return members, nil
}

// Member returns one membership that the viewer may see.
func (s *Service) Member(ctx context.Context, who Viewer, i Image, project string) (member Member, err error) {
	missing := errs.NotFoundf("%s not found in the member list of the image %s.", project, i.ID)
	if !who.owns(i) && project != who.Project {
		return Member{}, missing
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &member, "SELECT * FROM image_members WHERE image = ? AND member = ?", i.ID, project)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Member{}, missing
	}
	if err != nil {
		return Member{}, fmt.Errorf("read member of image %s: %w", i.ID, err)
	}
	return member, nil
}

// SetMemberStatus is the member's answer to the offer.
func (s *Service) SetMemberStatus(ctx context.Context, member Member, status string) (Member, error) {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		member.Status, member.UpdatedAt = status, db.At(tx.Now())
		n, err := tx.Update(ctx, &member, "status", "updated_at")
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.NotFoundf("%s not found in the member list of the image %s.", member.Member, member.Image)
		}
		return emitMember(ctx, tx, "image.member.update", member)
	})
	if err != nil {
		return Member{}, fmt.Errorf("answer for image %s: %w", member.Image, err)
	}
	return member, nil
}

// RemoveMember ends the sharing.
func (s *Service) RemoveMember(ctx context.Context, member Member) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM image_members WHERE image = ? AND member = ?", member.Image, member.Member)
		if err != nil {
			return err
		}
		return emitMember(ctx, tx, "image.member.delete", member)
	})
	if err != nil {
		return fmt.Errorf("unshare image %s: %w", member.Image, err)
	}
	return nil
}

// isMember tells whether an image is shared with the project.
func isMember(ctx context.Context, tx *db.Tx, id, project string) (bool, error) {
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM image_members WHERE image = ? AND member = ?", id, project)
	return n > 0, err
}
