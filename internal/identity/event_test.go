package identity

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/bus/bustest"
	"nacre/internal/clock"
	"nacre/internal/errs"
)

// listen collects the notifications that leave from now on: heard returns those
// since the last time.
func (p process) listen(t *testing.T) (heard func() []bustest.Told) {
	t.Helper()
	return bustest.Listen(t, p.db, Topic, Notifications("api-1", nil))
}

// wantTold checks which notifications there are, each "type resource", and that
// they name their resource.
func wantTold(t *testing.T, got []bustest.Told, want ...string) {
	t.Helper()
	var lines []string
	for _, m := range got {
		lines = append(lines, m.Type+" "+m.Resource)
		target, _ := m.Payload["target"].(map[string]any)
		if m.Payload["resource_info"] != m.Resource || target["id"] != m.Resource || m.Payload["outcome"] != "success" {
			t.Errorf("%s of %s carries %v", m.Type, m.Resource, m.Payload)
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("told of\n got %q\nwant %q", lines, want)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestResourcesTellOfTheirLives(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := startProcess(t, t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)), bcrypt.MinCost)
	_, err := p.Bootstrap(ctx, Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	heard := p.listen(t)

	d := must[Domain](t)(p.CreateDomain(ctx, Domain{Name: "d", Enabled: true}))
	project := must[Project](t)(p.CreateProject(ctx, Project{DomainID: d.ID, Name: "p", Enabled: true}))
	password := "a long password"
	user := must[User](t)(p.CreateUser(ctx, User{DomainID: d.ID, Name: "u", Enabled: true}, &password))
	group := must[Group](t)(p.CreateGroup(ctx, Group{DomainID: d.ID, Name: "g"}))
	role := must[Role](t)(p.CreateRole(ctx, Role{DomainID: d.ID, Name: "r"}))
	wantTold(t, heard(), "identity.domain.created "+d.ID, "identity.project.created "+project.ID, "identity.user.created "+user.ID,
		"identity.group.created "+group.ID, "identity.role.created "+role.ID)

	must[Project](t)(p.UpdateProject(ctx, project.ID, func(p *Project) error { p.Enabled = false; return nil }))
	must[User](t)(p.UpdateUser(ctx, user.ID, nil, func(u *User) error { u.Name = "v"; return nil }))
	must[Group](t)(p.UpdateGroup(ctx, group.ID, func(g *Group) error { g.Name = "h"; return nil }))
	must[Role](t)(p.UpdateRole(ctx, role.ID, func(r *Role) error { r.Name = "s"; return nil }))
	must[Domain](t)(p.UpdateDomain(ctx, d.ID, func(d *Domain) error { d.Enabled = false; return nil }))
	wantTold(t, heard(), "identity.project.updated "+project.ID, "identity.project.disabled "+project.ID, "identity.user.updated "+user.ID,
		"identity.group.updated "+group.ID, "identity.role.updated "+role.ID, "identity.domain.updated "+d.ID, "identity.domain.disabled "+d.ID)

	service := must[CatalogService](t)(p.CreateService(ctx, CatalogService{Type: "dns", Enabled: true}))
	region := must[Region](t)(p.CreateRegion(ctx, Region{ID: "north"}))
	endpoint := must[Endpoint](t)(p.CreateEndpoint(ctx, Endpoint{ServiceID: service.ID, RegionID: region.ID, Interface: "public", URL: "http://x", Enabled: true}))
	err = p.DeleteEndpoint(ctx, endpoint.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantTold(t, heard(), "identity.service.created "+service.ID, "identity.region.created north",
		"identity.endpoint.created "+endpoint.ID, "identity.endpoint.deleted "+endpoint.ID)

	// What fails changes nothing and tells nothing.
	_, err = p.CreateUser(ctx, User{DomainID: d.ID, Name: "v"}, nil)
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("a second user v: got error %v, want a conflict", err)
	}
	_, err = p.UpdateRole(ctx, role.ID, func(*Role) error { return errs.BadRequestf("no") })
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("got error %v, want bad request", err)
	}
	wantTold(t, heard())

	// A domain takes with it what is in it.
	err = p.DeleteDomain(ctx, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantTold(t, heard(), "identity.user.deleted "+user.ID, "identity.group.deleted "+group.ID, "identity.project.deleted "+project.ID,
		"identity.role.deleted "+role.ID, "identity.domain.deleted "+d.ID)
}

func TestRoleAssignmentsAreTold(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := startProcess(t, t.TempDir(), clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)), bcrypt.MinCost)
	p.db.UseClock(clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)))
	boot, err := p.Bootstrap(ctx, Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	demo := signIn(t, p, "demo", boot.DemoPassword)
	reader := must[[]Role](t)(p.Roles(ctx, "", "reader"))[0]
	grant := Grant{ActorKind: ActorUser, ActorID: demo.User, TargetKind: TargetDomain, TargetID: DefaultDomain, RoleID: reader.ID, Inherited: true}
	heard := p.listen(t)
	for range 2 { // the second changes nothing
		err = p.CreateGrant(ctx, grant)
		if err != nil {
			t.Fatal(err)
		}
	}
	err = p.RevokeGrant(ctx, grant)
	if err != nil {
		t.Fatal(err)
	}
	err = p.RevokeGrant(ctx, grant)
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("revoking it twice: got error %v, want not found", err)
	}
	got := heard()
	if len(got) != 2 {
		t.Fatalf("told %d times, want of one creation and one deletion", len(got))
	}
	for i, operation := range []string{"created", "deleted"} {
		e := got[i].Payload
		if got[i].Type != "identity.role_assignment."+operation {
			t.Errorf("got %s, want that it was %s", got[i].Type, operation)
		}
		for key, want := range map[string]any{
			"typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventType": "activity", "outcome": "success",
			"action": operation + ".role_assignment", "eventTime": "2026-12-01T08:00:00.000000+0000",
			"user": demo.User, "domain": DefaultDomain, "role": reader.ID, "inherited_to_projects": true,
		} {
			if e[key] != want {
				t.Errorf("%s: %s is %v, want %v", operation, key, e[key], want)
			}
		}
		if _, has := e["project"]; has || e["id"] == "" || e["id"] == nil {
			t.Errorf("%s carries %v", operation, got[i].Payload)
		}
	}
}
