package identity

import (
	"context"

	"nacre/internal/directory"
	"nacre/internal/errs"
)

// DiagnoseDirectory tries what a domain needs of its directory, and says what came
// of each step.
func (s *Service) DiagnoseDirectory(ctx context.Context, domain string) ([]directory.Finding, error) {
	_, err := s.Domain(ctx, domain)
	if err != nil {
		return nil, err
	}
	r, err := s.realmOf(ctx, domain)
	switch {
	case err != nil:
		return nil, err
	case r == nil:
		return nil, errs.NotFoundf("Domain %s has no directory: the option driver of the group identity of its configuration is not %s.", domain, driverLDAP)
	case r.wrong != nil:
		return []directory.Finding{{Step: "read the configuration", Detail: r.wrong.Error()}}, nil
	}
	return r.dir.Diagnose(ctx), nil
}
