package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v4"

	"nacre/internal/compute"
	"nacre/internal/compute/scheduler"
)

// ScheduleQuestion is about a server that exists, or about servers of a flavor
// that might.
type ScheduleQuestion struct {
	Server string
	Flavor string // id or name
	Image  string
	Zone   string
	Count  int
}

// DescribeSchedule asks the running cloud of a data folder why a server is
// where it is, or whether servers would fit, as the operator of that cloud.
func DescribeSchedule(ctx context.Context, out io.Writer, dataDir string, about ScheduleQuestion, format string) error {
	var path string
	show := printSchedule
	switch {
	case (about.Server == "") == (about.Flavor == ""):
		return fmt.Errorf("which server, or which flavor? nacre describe schedule --server ID, or --flavor NAME --count N")
	case about.Server != "":
		path = "/nacre/v1/schedule?server=" + url.QueryEscape(about.Server)
	default:
		path = "/nacre/v1/schedule/dry-run?" + url.Values{
			"flavor": {about.Flavor}, "image": {about.Image}, "availability_zone": {about.Zone}, "count": {strconv.Itoa(about.Count)},
		}.Encode()
		show = func(out io.Writer, body []byte) error { return printDryRun(out, body, about) }
	}
	body, err := askOwn(ctx, dataDir, "GET", path, nil)
	if err != nil {
		return err
	}
	if format == "json" {
		var pretty bytes.Buffer
		err = json.Indent(&pretty, body, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, pretty.String())
		return err
	}
	return show(out, body)
}

// AskOwn asks the cloud whose clouds.yaml is in the data folder, as its
// administrator. A nil request has no body, a nil reply is not wanted.
func AskOwn(ctx context.Context, dataDir, method, path string, request, reply any) error {
	var body []byte
	if request != nil {
		var err error
		body, err = json.Marshal(request)
		if err != nil {
			return err
		}
	}
	text, err := askOwn(ctx, dataDir, method, path, body)
	if err != nil || reply == nil {
		return err
	}
	err = json.Unmarshal(text, reply)
	if err != nil {
		return fmt.Errorf("read the cloud's answer: %w", err)
	}
	return nil
}

func askOwn(ctx context.Context, dataDir, method, path string, body []byte) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(dataDir, "clouds.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find the cloud: %w (is --data-dir right?)", err)
	}
	var file struct {
		Clouds map[string]struct {
			Auth map[string]string `yaml:"auth"`
		} `yaml:"clouds"`
	}
	err = yaml.Unmarshal(content, &file)
	if err != nil {
		return nil, fmt.Errorf("read clouds.yaml: %w", err)
	}
	auth := file.Clouds["nacre"].Auth
	base, err := url.Parse(auth["auth_url"])
	if err != nil {
		return nil, err
	}
	h := &health{client: &http.Client{Timeout: requestTimeout}, config: Config{DataDir: dataDir, Listen: base.Host, Server: base.Scheme == "https"}}
	h.trust()
	login, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
			"name": auth["username"], "password": auth["password"], "domain": map[string]any{"name": auth["user_domain_name"]},
		}}},
		"scope": map[string]any{"project": map[string]any{
			"name": auth["project_name"], "domain": map[string]any{"name": auth["project_domain_name"]},
		}},
	}})
	if err != nil {
		return nil, err
	}
	reply, _, err := h.ask(ctx, "POST", auth["auth_url"]+"/auth/tokens", "", login)
	if err != nil {
		return nil, fmt.Errorf("sign in to the cloud: %w", err)
	}
	_, text, err := h.ask(ctx, method, base.Scheme+"://"+base.Host+path, reply.Get("X-Subject-Token"), body)
	return text, err
}

func (h *health) ask(ctx context.Context, method, address, token string, body []byte) (http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	reply, err := h.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, 16<<20))
	if err != nil {
		return nil, nil, err
	}
	if reply.StatusCode >= 300 {
		var e struct{ Error struct{ Message string } }
		if json.Unmarshal(text, &e) == nil && e.Error.Message != "" {
			return nil, nil, fmt.Errorf("%s", e.Error.Message)
		}
		return nil, nil, fmt.Errorf("the cloud answered %s", reply.Status)
	}
	return reply.Header, text, nil
}

// printSchedule shows a decision as a table, the best host first.
func printSchedule(out io.Writer, body []byte) error {
	var d struct {
		Server, Chosen, Summary string
		DecidedAt               string `json:"decided_at"`
		scheduler.Explanation
	}
	err := json.Unmarshal(body, &d)
	if err != nil {
		return fmt.Errorf("read the decision: %w", err)
	}
	fmt.Fprintf(out, "server %s\nchosen %s at %s\n%d hosts considered, %d could take it\n", d.Server, cmp.Or(d.Chosen, "none"), d.DecidedAt, d.Considered, d.Passed)
	if d.Summary != "" {
		fmt.Fprintln(out, d.Summary)
	}
	return printVerdicts(out, d.Hosts)
}

// printDryRun shows how many servers would fit, on which hosts, and why no more.
func printDryRun(out io.Writer, body []byte, about ScheduleQuestion) error {
	var d compute.DryResult
	err := json.Unmarshal(body, &d)
	if err != nil {
		return fmt.Errorf("read the dry run: %w", err)
	}
	fmt.Fprintf(out, "%d of %d servers of flavor %s would fit\n", d.Fits, about.Count, about.Flavor)
	if d.Summary != "" {
		fmt.Fprintln(out, d.Summary)
	}
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tSERVERS")
	for _, h := range d.Hosts {
		fmt.Fprintf(w, "%s\t%d\n", h.Host, h.Servers)
	}
	err = w.Flush()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nthe last decision")
	return printVerdicts(out, d.Explanation.Hosts)
}

// printVerdicts has what goes before the score in columns before it.
func printVerdicts(out io.Writer, hosts []scheduler.Verdict) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	var before []scheduler.Count
	if len(hosts) > 0 {
		before = hosts[0].Before // those that passed come first
	}
	fmt.Fprint(w, "HOST")
	for _, c := range before {
		fmt.Fprint(w, "\t", strings.ToUpper(c.Of))
	}
	fmt.Fprintln(w, "\tSCORE\tFACTORS\tREFUSED BECAUSE")
	for _, h := range hosts {
		fmt.Fprint(w, h.Host)
		for i := range before {
			if h.Score == nil {
				fmt.Fprint(w, "\t-")
			} else {
				fmt.Fprint(w, "\t", h.Before[i].N)
			}
		}
		score, factors := "-", ""
		if h.Score != nil {
			score = fmt.Sprintf("%.4f", *h.Score)
			for i, class := range []string{"VCPU", "MEMORY_MB", "DISK_GB"} {
				if i > 0 {
					factors += " × "
				}
				factors += fmt.Sprintf("%s %.3f", class, h.Factors[class])
			}
		}
		fmt.Fprintf(w, "\t%s\t%s\t%s\n", score, factors, h.Reason)
	}
	return w.Flush()
}
