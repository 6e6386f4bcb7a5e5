package network

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
)

// Binding is a host that a port is on, or is about to move to. The port's row has
// the active one; the others wait in a table of their own.
type Binding struct {
	bun.BaseModel `bun:"table:port_bindings,alias:port_bindings"`

	Port      string                  `bun:"port_id,pk"`
	Host      string                  `bun:"host,pk"`
	VNICType  string                  `bun:"vnic_type"`
	Profile   db.JSON[map[string]any] `bun:"profile"`
	CreatedAt db.Time                 `bun:"created_at"`

	Active bool `bun:"-"`
}

func bindingNotFound(port, host string) error {
	return errs.NotFoundf("Binding for port %s for host %s could not be found.", port, host).Typed("PortBindingNotFound")
}

// Bindings lists the bindings of a port, the active one first.
func (s *Service) Bindings(ctx context.Context, port string) (list []Binding, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err := readPort(ctx, tx, port)
		if err != nil {
			return err
		}
		list, err = bindings(ctx, tx, p)
		return err
	})
	return list, err
}

func bindings(ctx context.Context, tx *db.Tx, p Port) ([]Binding, error) {
	list, err := waitingBindings(ctx, tx, p.ID)
	if err != nil || p.Host == "" {
		return list, err
	}
	return append([]Binding{p.binding()}, list...), nil
}

// binding is where the port is bound now.
func (p *Port) binding() Binding {
	return Binding{Port: p.ID, Host: p.Host, VNICType: p.VNICType, Profile: p.Profile, Active: true}
}

func waitingBindings(ctx context.Context, tx *db.Tx, ports ...string) ([]Binding, error) {
	list, err := rowsOfOrdered[Binding](ctx, tx, "port_id", ports, "created_at, host")
	if err != nil {
		return nil, fmt.Errorf("list bindings: %w", err)
	}
	return list, nil
}

// Binding finds the binding of a port on a host.
func (s *Service) Binding(ctx context.Context, port, host string) (Binding, error) {
	list, err := s.Bindings(ctx, port)
	if err != nil {
		return Binding{}, err
	}
	for _, b := range list {
		if b.Host == host {
			return b, nil
		}
	}
	return Binding{}, bindingNotFound(port, host)
}

// CreateBinding prepares a port for a further host. The first binding of a port
// is active at once.
func (s *Service) CreateBinding(ctx context.Context, b Binding) (Binding, error) {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPort(ctx, tx, b.Port)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(p.Owner, "compute:") {
			return errs.BadRequestf("Bad port_binding request: Invalid port %s, operation only valid on compute owned ports.", p.ID).Typed("BadRequest")
		}
		had, err := bindings(ctx, tx, p)
		if err != nil {
			return err
		}
		for _, o := range had {
			if o.Host == b.Host {
				return errs.Conflictf("Binding for port %s on host %s already exists.", p.ID, b.Host).Typed("PortBindingAlreadyExists")
			}
		}
		b.CreatedAt, b.Active = db.At(tx.Now()), p.Host == ""
		if b.Active {
			return activate(ctx, tx, &p, b)
		}
		err = tx.Insert(ctx, &b)
		if err != nil {
			return fmt.Errorf("insert binding: %w", err)
		}
		return dirty(ctx, tx, fabric.KindPort, p.ID)
	})
	return b, err
}

// activate makes a binding the port's.
func activate(ctx context.Context, tx *db.Tx, p *Port, b Binding) error {
	p.Host, p.VNICType, p.Profile, p.Status = b.Host, b.VNICType, b.Profile, "DOWN"
	recheckAfter(tx, p.ID)
	return savePort(ctx, tx, p)
}

// ActivateBinding moves a port to a host that it was prepared for. It may move
// back: where it was, it stays prepared for.
func (s *Service) ActivateBinding(ctx context.Context, port, host string) (Binding, error) {
	var b Binding
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPort(ctx, tx, port)
		if err != nil {
			return err
		}
		if p.Host == host {
			return errs.Conflictf("Binding for port %s on host %s is already active.", port, host).Typed("PortBindingAlreadyActive")
		}
		waiting, err := waitingBindings(ctx, tx, port)
		if err != nil {
			return err
		}
		b = Binding{}
		for _, o := range waiting {
			if o.Host == host {
				b = o
			}
		}
		if b.Host == "" {
			return bindingNotFound(port, host)
		}
		err = forgetBindings(ctx, tx, port, host)
		if err != nil {
			return err
		}
		if p.Host != "" {
			was := p.binding()
			was.CreatedAt = db.At(tx.Now())
			err = tx.Insert(ctx, &was)
			if err != nil {
				return fmt.Errorf("insert binding: %w", err)
			}
		}
		b.Active = true
		return activate(ctx, tx, &p, b)
	})
	return b, err
}

// forgetBindings removes what waits, on one host or, if that is empty, on all.
func forgetBindings(ctx context.Context, tx *db.Tx, port, host string) error {
	_, err := tx.Exec(ctx, `DELETE FROM port_bindings WHERE port_id = ? AND (? = '' OR host = ?)`, port, host, host)
	if err != nil {
		return fmt.Errorf("delete bindings of port %s: %w", port, err)
	}
	return nil
}

// DeleteBinding forgets a host of a port, be it the active one.
func (s *Service) DeleteBinding(ctx context.Context, port, host string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readPort(ctx, tx, port)
		if err != nil {
			return err
		}
		if p.Host == host {
			p.Host, p.Status = "", "DOWN"
			return savePort(ctx, tx, &p)
		}
		waiting, err := waitingBindings(ctx, tx, port)
		if err != nil {
			return err
		}
		for _, b := range waiting {
			if b.Host == host {
				err = forgetBindings(ctx, tx, port, host)
				if err != nil {
					return err
				}
				return dirty(ctx, tx, fabric.KindPort, port)
			}
		}
		return bindingNotFound(port, host)
	})
}
