package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/compute/vendordata"
	"nacre/internal/identity"
)

// VendorData is what guests are told by the operator, named as Nova's settings.
type VendorData struct {
	// File has static data, in JSON; "" is none.
	File string `koanf:"vendordata_jsonfile_path"`
	// Targets are the services that are asked for dynamic data: name@url, with
	// commas between them.
	Targets string `koanf:"vendordata_dynamic_targets"`
	// CertFile has the authorities of the services' certificates, in PEM; "" is
	// those that this machine trusts.
	CertFile string `koanf:"vendordata_dynamic_ssl_certfile"`
	// ConnectTimeout and ReadTimeout are seconds; 0 is 5.
	ConnectTimeout int `koanf:"vendordata_dynamic_connect_timeout"`
	ReadTimeout    int `koanf:"vendordata_dynamic_read_timeout"`
	// Fatal is whether a service that does not answer fails what asks it.
	Fatal bool `koanf:"vendordata_dynamic_failure_fatal"`

	// User, of this cloud, is whose token the services are sent, for the project; ""
	// is none. Domains are named, and Default if not.
	User          string `koanf:"vendordata_dynamic_auth_username"`
	UserDomain    string `koanf:"vendordata_dynamic_auth_user_domain_name"`
	Password      string `koanf:"vendordata_dynamic_auth_password"`
	Project       string `koanf:"vendordata_dynamic_auth_project_name"`
	ProjectDomain string `koanf:"vendordata_dynamic_auth_project_domain_name"`
}

// source reads what the settings name. Wrong ones are refused at start. Tokens come
// from users.
func (v VendorData) source(log *slog.Logger, users *identity.Service, now clock.Clock) (*vendordata.Source, error) {
	o := vendordata.Options{
		Connect: time.Duration(v.ConnectTimeout) * time.Second, Read: time.Duration(v.ReadTimeout) * time.Second,
		Fatal: v.Fatal, Log: log,
	}
	if v.ConnectTimeout < 0 || v.ReadTimeout < 0 {
		return nil, errors.New("settings vendordata_dynamic_connect_timeout and vendordata_dynamic_read_timeout: a time is not below 0")
	}
	var err error
	o.Targets, err = vendordata.ParseTargets(list(v.Targets))
	if err != nil {
		return nil, fmt.Errorf("setting vendordata_dynamic_targets: %w", err)
	}
	if v.File != "" {
		text, err := os.ReadFile(v.File)
		if err == nil {
			o.Static, err = vendordata.Check(text)
		}
		if err != nil {
			return nil, fmt.Errorf("setting vendordata_jsonfile_path: %s: %w", v.File, err)
		}
	}
	if v.CertFile != "" {
		text, err := os.ReadFile(v.CertFile)
		if err != nil {
			return nil, fmt.Errorf("setting vendordata_dynamic_ssl_certfile: %w", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("setting vendordata_dynamic_ssl_certfile: %s holds no certificate", v.CertFile)
		}
	}
	switch {
	case v.User == "" && (v.Password != "" || v.Project != ""):
		return nil, errors.New("setting vendordata_dynamic_auth_username: there is a password or a project, and no user")
	case v.User != "" && (v.Password == "" || v.Project == ""):
		return nil, errors.New("settings vendordata_dynamic_auth_password and vendordata_dynamic_auth_project_name: the user needs both")
	case v.User != "":
		o.Token = (&vendorToken{login: v, users: users, clock: now}).get
	}
	return vendordata.New(o), nil
}

// vendorToken is the token that vendor data services know the cloud by.
type vendorToken struct {
	login VendorData
	users *identity.Service
	clock clock.Clock

	mu   sync.Mutex // guards last
	last auth.Caller
}

// get is a token that lives for minutes yet and is not the one that was refused.
func (t *vendorToken) get(ctx context.Context, refused string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.Token != "" && t.last.Token != refused && t.clock.Now().Add(5*time.Minute).Before(t.last.ExpiresAt) {
		return t.last.Token, nil
	}
	in := func(name string) *identity.Ref { return &identity.Ref{Name: cmp.Or(name, "Default")} }
	user := identity.Ref{Name: t.login.User, Domain: in(t.login.UserDomain)}
	project := identity.Ref{Name: t.login.Project, Domain: in(t.login.ProjectDomain)}
	issued, err := t.users.Issue(ctx, identity.Login{Password: &identity.PasswordLogin{User: user, Password: t.login.Password}}, identity.Scope{Project: &project})
	if err != nil {
		return "", fmt.Errorf("sign in %s: %w", t.login.User, err)
	}
	t.last = issued.Caller
	return t.last.Token, nil
}
