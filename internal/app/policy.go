package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/identity"
	identityapi "nacre/internal/identity/api"
	"nacre/internal/image"
	"nacre/internal/loop"
	"nacre/internal/network"
	"nacre/internal/object"
	"nacre/internal/placement"
	"nacre/internal/volume"
)

// ownPolicy are the rules of /nacre/v1.
var ownPolicy = []auth.Rule{
	{Name: "nacre:plans:list", Check: "rule:project_reader_or_admin"},
	{Name: "nacre:loops:list", Check: "rule:admin_required"},
	{Name: "nacre:schedule:show", Check: "rule:admin_required"},
	{Name: "nacre:schedule:dry_run", Check: "rule:project_reader_or_admin"},
	{Name: "nacre:directory:show", Check: "rule:admin_required"},
	{Name: "nacre:permission:show", Check: "rule:admin_required or rule:user_owner"},
}

// policyRules are the rules of all services.
func policyRules() []auth.Rule {
	return slices.Concat(auth.BaseRules, identity.Policy, image.Policy, placement.Policy, compute.Policy,
		network.Policy, volume.Policy, object.Policy, ownPolicy, clusterPolicy, identityapi.OpenIDPolicy)
}

// policyFile is the operator's file of rules over the defaults.
type policyFile struct {
	path   string // "" for none
	policy *auth.Policy
	log    *slog.Logger
	inUse  []byte
}

// loadPolicy compiles the rules with the operator's overrides. A wrong file is
// refused at start.
func loadPolicy(path string, log *slog.Logger) (*policyFile, error) {
	policy, err := auth.NewPolicy(policyRules())
	if err != nil {
		return nil, err
	}
	f := &policyFile{path: path, policy: policy, log: log}
	return f, f.read(context.Background())
}

// read takes over what the file has become. While it is wrong, what it was
// before stays in force.
func (f *policyFile) read(context.Context) error {
	if f.path == "" {
		return nil
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("read policy file: %w", err)
	}
	if f.inUse != nil && bytes.Equal(content, f.inUse) {
		return nil
	}
	err = f.policy.Override(content)
	if err != nil {
		return fmt.Errorf("policy file %s: %w", f.path, err)
	}
	if f.inUse != nil {
		f.log.Info("policy file read again", "path", f.path)
	}
	f.inUse = content
	return nil
}

// loops follow the file.
func (f *policyFile) loops() []loop.Loop {
	if f.path == "" {
		return nil
	}
	return []loop.Loop{{Name: "app.policy-file", Every: 2 * time.Second, Once: f.read, Everywhere: true}}
}

// policyRow is a rule as Describe prints it.
type policyRow struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Check   string `json:"check"` // in force
}

// rows are all rules, those last that only the file names.
func (f *policyFile) rows() []policyRow {
	defaults := map[string]string{}
	for _, r := range policyRules() {
		defaults[r.Name] = r.Check
	}
	var out []policyRow
	for _, r := range f.policy.Rules() {
		out = append(out, policyRow{r.Name, defaults[r.Name], r.Check})
	}
	return out
}
