package identity

import (
	"context"
	"fmt"

	"nacre/internal/db"
)

// NewService is an API that this cloud offers.
type NewService struct {
	Type        string // compute
	Name        string // nova
	Description string
	Path        string // behind the cloud's address: /compute/v2.1; may contain $(project_id)s
}

// Bootstrap is what a new cloud begins with.
type Bootstrap struct {
	Region        string // "" is RegionOne
	Services      []NewService
	AdminPassword string // "": a random one
	DemoPassword  string
}

// Bootstrapped tells what was made.
type Bootstrapped struct {
	New           bool // the cloud was empty; only then the passwords are set
	AdminPassword string
	DemoPassword  string
}

// Bootstrap makes the domain Default, the projects admin, service and demo, the
// users admin and demo, the roles and the catalog, all in one transaction. On a
// cloud that has them it only adds services that are missing from the catalog:
// what an operator has changed or deleted stays so.
func (s *Service) Bootstrap(ctx context.Context, in Bootstrap) (Bootstrapped, error) {
	if in.Region == "" {
		in.Region = "RegionOne"
	}
	out := Bootstrapped{AdminPassword: in.AdminPassword, DemoPassword: in.DemoPassword}
	for _, password := range []*string{&out.AdminPassword, &out.DemoPassword} {
		if *password == "" {
			*password = NewPassword()
		}
	}
	first := newCloud{service: s, now: db.At(s.clock.Now()), domain: DefaultDomain}
	err := first.prepare(out)
	if err != nil {
		return Bootstrapped{}, fmt.Errorf("bootstrap identity: %w", err)
	}
	ids := s.catalogIDs(in)
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var domains int
		err := tx.Get(ctx, &domains, `SELECT COUNT(*) FROM domains WHERE id = ?`, DefaultDomain)
		if err != nil {
			return err
		}
		out.New = domains == 0
		if out.New {
			err = first.insert(ctx, tx)
			if err != nil {
				return err
			}
		}
		return s.completeCatalog(ctx, tx, in, ids)
	})
	if err != nil {
		return Bootstrapped{}, fmt.Errorf("bootstrap identity: %w", err)
	}
	if !out.New {
		return Bootstrapped{}, nil
	}
	return out, nil
}

// newCloud holds the rows of an empty cloud, ids and hashes made beforehand.
type newCloud struct {
	service *Service
	now     db.Time
	domain  string

	projects     []Project
	users        []User
	roles        []Role
	implications []Implication
	grants       []Grant
}

func (n *newCloud) prepare(passwords Bootstrapped) error {
	admin := n.project("admin", "Bootstrap project for initializing the cloud.")
	n.project("service", "Service project")
	demo := n.project("demo", "Demo project")
	roles := map[string]string{}
	for _, name := range []string{"admin", "manager", "member", "reader", "service", "ResellerAdmin", "swiftoperator"} {
		role := Role{ID: n.service.newID(), Name: name, Options: db.Of(map[string]any{"immutable": true}), CreatedAt: n.now}
		n.roles = append(n.roles, role)
		roles[name] = role.ID
	}
	for _, pair := range [][2]string{{"admin", "manager"}, {"manager", "member"}, {"member", "reader"}} {
		n.implications = append(n.implications, Implication{PriorID: roles[pair[0]], ImpliedID: roles[pair[1]]})
	}
	adminUser, err := n.user("admin", passwords.AdminPassword, admin)
	if err != nil {
		return err
	}
	demoUser, err := n.user("demo", passwords.DemoPassword, demo)
	if err != nil {
		return err
	}
	grant := func(user, kind, target, role string) {
		n.grants = append(n.grants, Grant{ActorKind: ActorUser, ActorID: user, TargetKind: kind, TargetID: target, RoleID: roles[role]})
	}
	grant(adminUser, TargetProject, admin, "admin")
	grant(adminUser, TargetDomain, n.domain, "admin")
	grant(adminUser, TargetSystem, SystemID, "admin")
	grant(demoUser, TargetProject, demo, "member")
	return nil
}

func (n *newCloud) project(name, description string) string {
	p := Project{ID: n.service.newID(), DomainID: n.domain, ParentID: n.domain, Name: name, Description: description,
		Enabled: true, Tags: db.Of([]string{}), CreatedAt: n.now}
	n.projects = append(n.projects, p)
	return p.ID
}

func (n *newCloud) user(name, password, project string) (string, error) {
	hash, err := n.service.passwords.hashGenerated(password)
	if err != nil {
		return "", fmt.Errorf("hash password of %s: %w", name, err)
	}
	u := User{ID: n.service.newID(), DomainID: n.domain, Name: name, PasswordHash: hash, DefaultProjectID: project,
		Enabled: true, CreatedAt: n.now}
	n.users = append(n.users, u)
	return u.ID, nil
}

func (n *newCloud) insert(ctx context.Context, tx *db.Tx) error {
	err := insertDomain(ctx, tx, &Domain{ID: n.domain, Name: "Default", Description: "The default domain", Enabled: true,
		Tags: db.Of([]string{}), CreatedAt: n.now})
	if err != nil {
		return err
	}
	for _, rows := range []any{&n.projects, &n.roles, &n.implications, &n.users, &n.grants} {
		err := tx.Insert(ctx, rows)
		if err != nil {
			return err
		}
	}
	_, err = n.service.bump(ctx, tx)
	return err
}

// interfaces are the endpoints that each service has.
var interfaces = []string{"public", "internal", "admin"}

// catalogIDs makes one id for each service and endpoint that may be added.
func (s *Service) catalogIDs(in Bootstrap) []string {
	ids := make([]string, len(in.Services)*(1+len(interfaces)))
	for i := range ids {
		ids[i] = s.newID()
	}
	return ids
}

func (s *Service) completeCatalog(ctx context.Context, tx *db.Tx, in Bootstrap, ids []string) error {
	_, err := tx.Exec(ctx, `INSERT INTO regions (id) VALUES (?) ON CONFLICT DO NOTHING`, in.Region)
	if err != nil {
		return err
	}
	changed := false
	for i, service := range in.Services {
		var present int
		err := tx.Get(ctx, &present, `SELECT COUNT(*) FROM catalog_services WHERE type = ?`, service.Type)
		if err != nil {
			return err
		}
		if present > 0 {
			continue
		}
		changed = true
		own := ids[i*(1+len(interfaces)):]
		err = tx.Insert(ctx, &CatalogService{ID: own[0], Type: service.Type, Name: service.Name,
			Description: service.Description, Enabled: true, Position: int64(i)})
		if err != nil {
			return err
		}
		for j, name := range interfaces {
			err = tx.Insert(ctx, &Endpoint{ID: own[1+j], ServiceID: own[0], RegionID: in.Region, Interface: name,
				URL: PublicURL + service.Path, Enabled: true, Position: int64(i*len(interfaces) + j)})
			if err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil
	}
	_, err = s.bump(ctx, tx)
	return err
}
