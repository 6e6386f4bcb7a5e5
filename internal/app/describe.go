package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"nacre/internal/api"
)

// Subjects are what Describe can print.
var Subjects = []string{"routes", "policy", "plans", "loops", "config"}

// RouteRow is a route as Describe prints it. Service and path are spelled as in
// the public API reference.
type RouteRow struct {
	Service         string `json:"service"`
	Mount           string `json:"mount"`
	Method          string `json:"method"`
	Path            string `json:"path"`
	Action          string `json:"action"`
	MinMicroversion string `json:"min_microversion"`
	MaxMicroversion string `json:"max_microversion"`
	PolicyRule      string `json:"policy_rule"`
}

// Describe prints the literal tables that the program runs on. It assembles a
// simulated cloud in a folder of its own for that, and runs nothing of it. The
// policy is as the file has it, if there is one.
func Describe(ctx context.Context, out io.Writer, subjects []string, format, policyFile string) error {
	dir, err := os.MkdirTemp("", "nacre-describe-")
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	defer os.RemoveAll(dir)
	cloud, err := Start(ctx, Config{DataDir: dir, PolicyFile: policyFile, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer cloud.Close()
	tables := map[string]any{}
	for _, subject := range subjects {
		tables[subject], err = cloud.table(subject)
		if err != nil {
			return err
		}
	}
	if format == "json" {
		var value any = tables
		if len(subjects) == 1 {
			value = tables[subjects[0]]
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	for _, subject := range subjects {
		err = cloud.print(out, subject)
		if err != nil {
			return err
		}
	}
	return nil
}

// SettingsFile writes a file for Load in which every setting is explained and
// none is set.
func SettingsFile(out io.Writer) error {
	_, err := fmt.Fprint(out, `# Settings of nacre up and nacre server. Take the # away to set one. A variable
# such as NACRE_LISTEN wins over this file, and a flag over both.
`)
	for _, s := range Settings() {
		if err == nil {
			_, err = fmt.Fprintf(out, "\n# %s (default: %s)\n#%s:\n", s.Meaning, cmp.Or(s.Default, "none"), s.Name)
		}
	}
	return err
}

func (cloud *Cloud) table(subject string) (any, error) {
	switch subject {
	case "routes":
		return cloud.routes(), nil
	case "policy":
		return cloud.policy.rows(), nil
	case "plans":
		return cloud.Engine.Plans(), nil
	case "loops":
		var out []map[string]string
		for _, s := range cloud.Loops.Status() {
			out = append(out, map[string]string{"name": s.Name, "every": s.Every.String()})
		}
		return out, nil
	case "config":
		return Settings(), nil
	}
	return nil, fmt.Errorf("there is no %s to describe: it is one of %v or schedule", subject, Subjects)
}

func (cloud *Cloud) routes() []RouteRow {
	out := []RouteRow{}
	for _, s := range cloud.Services() {
		for _, r := range s.Routes {
			out = append(out, RouteRow{
				Service: s.Name, Mount: s.Mount, Method: r.Method, Path: referencePath(s, r), Action: r.Action,
				MinMicroversion: r.Since.String(), MaxMicroversion: r.Until.String(), PolicyRule: r.Rule,
			})
		}
	}
	return out
}

// referencePath spells a path as the public reference does.
func referencePath(s *api.Service, r api.Route) string {
	path := r.Reference()
	if s.ProjectInPath && s.Name == "cinder" && r.ScopeName() != "" && path != "" && path != "/" {
		path = "/{" + r.ScopeName() + "}" + path
	}
	// A parameter that takes slashes too, {key...}, has no mark of that in the reference.
	return cmp.Or(s.Spec+strings.ReplaceAll(path, "...}", "}"), "/")
}

func (cloud *Cloud) print(out io.Writer, subject string) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintf(w, "# %s\n", subject)
	switch subject {
	case "routes":
		for _, r := range cloud.routes() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Service, r.Method, r.Path, r.Action, r.MinMicroversion, r.PolicyRule)
		}
	case "policy":
		fmt.Fprintln(w, "rule\tdefault\tnow, if another")
		for _, r := range cloud.policy.rows() {
			now := r.Check
			if now == r.Default {
				now = ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Default, now)
		}
	case "plans":
		for _, p := range cloud.Engine.Plans() {
			fmt.Fprintf(w, "%s\twithin %s\n", p.Name, p.Deadline)
			for i, s := range p.Steps {
				fmt.Fprintf(w, "  %d. %s\n", i+1, s.Name)
			}
		}
	case "loops":
		for _, s := range cloud.Loops.Status() {
			fmt.Fprintf(w, "%s\tevery %s\n", s.Name, s.Every)
		}
	case "config":
		settings := Settings()
		slices.SortFunc(settings, func(a, b Setting) int { return cmp.Compare(a.Name, b.Name) })
		for _, s := range settings {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, s.Environment, s.Default, s.Meaning)
		}
	default:
		_, err := cloud.table(subject)
		return err
	}
	fmt.Fprintln(w)
	return w.Flush()
}
