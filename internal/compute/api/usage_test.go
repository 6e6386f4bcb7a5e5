package api_test

import (
	"slices"
	"strings"
	"testing"
)

// usagePages follows the links of a list as clients do, and returns the servers
// of each page.
func usagePages(t *testing.T, c *cloud, path string) [][]string {
	t.Helper()
	var pages [][]string
	for range 5 {
		r := c.must(200, "admin@2.40", "GET", path, "")
		var ids []string
		projects, links := r.at(t, "tenant_usages"), "tenant_usages_links"
		if projects == nil {
			projects, links = []any{r.at(t, "tenant_usage")}, "tenant_usage_links"
		}
		for _, project := range projects.([]any) {
			servers, _ := project.(map[string]any)["server_usages"].([]any)
			for _, server := range servers {
				ids = append(ids, server.(map[string]any)["instance_id"].(string))
			}
		}
		pages = append(pages, ids)
		next, _ := r.at(t, links, 0, "href").(string)
		if next == "" {
			return pages
		}
		path = strings.TrimPrefix(next, "http://cloud/compute/v2.1")
	}
	t.Errorf("%s never ends: %v", path, pages)
	return pages
}

// A page has so many servers, whosever they are: by project, then by id.
func TestPagesOfUsage(t *testing.T) {
	c := start(t, options{hosts: 1})
	ids := []string{c.active("a", ""), c.active("b", ""), c.active("c", "")}
	c.must(204, "demo", "DELETE", "/servers/"+ids[1], "")
	c.gone(ids[1]) // still counts
	slices.Sort(ids)
	for _, path := range []string{"/os-simple-tenant-usage?detailed=1&", "/os-simple-tenant-usage/demo?"} {
		if got := usagePages(t, c, path+"limit=2"); len(got) != 2 || !slices.Equal(got[0], ids[:2]) || !slices.Equal(got[1], ids[2:]) {
			t.Errorf("%s: pages of 2 have %v, want %v", path, got, ids)
		}
		// A full page has a link, also the last.
		if got := usagePages(t, c, path+"limit=3"); len(got) != 2 || !slices.Equal(got[0], ids) || got[1] != nil {
			t.Errorf("%s: pages of 3 have %v, want %v and an empty one", path, got, ids)
		}
		for query, want := range map[string][]string{"": ids, "limit=0": nil, "limit=5000&marker=" + ids[0]: ids[1:], "marker=" + ids[2]: nil} {
			if got := usagePages(t, c, path+query); len(got) != 1 || !slices.Equal(got[0], want) {
				t.Errorf("%s%s: got %v, want %v", path, query, got, want)
			}
		}
		r := c.must(400, "admin@2.40", "GET", path+"marker=x", "")
		if !strings.Contains(string(r.body), "Marker x could not be found.") {
			t.Errorf("%s: a bad marker is answered with %s", path, r.body)
		}
		c.must(400, "admin@2.40", "GET", path+"limit=-1", "")
		// Before, there were no pages.
		r = c.must(200, "admin@2.39", "GET", path+"limit=x&marker=x", "")
		if strings.Count(string(r.body), "instance_id") != 3 || strings.Contains(string(r.body), "links") {
			t.Errorf("%s: before 2.40 got %s, want all servers and no link", path, r.body)
		}
	}
}
