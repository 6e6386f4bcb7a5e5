package arch

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var advisories = []string{"docs/security/advisories.md", "docs/zh-CN/security/advisories.md"}

// Each advisory has a test, which exists, or a reason, and both languages say the
// same.
func TestAdvisoriesHaveTests(t *testing.T) {
	tests := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			f, is := d.(*ast.FuncDecl)
			if is && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
	}
	row := regexp.MustCompile(`(?m)^\| ([^|]+) \|.*\|$`)
	test := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	reason := map[string]string{advisories[0]: "cannot happen, because ", advisories[1]: "不会发生，因为"}
	var rows [2][]string
	for i, name := range advisories {
		for _, line := range row.FindAllStringSubmatch(page(t, name), -1) {
			ids := regexp.MustCompile(`(?:OSSA|OSSN|CVE)-[0-9-]+`).FindAllString(line[1], -1)
			var here []string
			for _, match := range test.FindAllStringSubmatch(line[0], -1) {
				here = append(here, match[1])
				if !tests[match[1]] {
					t.Errorf("%s: there is no %s", name, match[1])
				}
			}
			if len(ids) > 0 && len(here) == 0 && !strings.Contains(line[0], reason[name]) {
				t.Errorf("%s: %s has neither a test nor a reason", name, line[1])
			}
			rows[i] = append(rows[i], strings.Join(append(ids, here...), " "))
		}
		if !slices.ContainsFunc(rows[i], func(row string) bool { return strings.HasPrefix(row, "OSSA-2012-002") }) {
			t.Errorf("%s: its rows are not found", name)
		}
	}
	diff := cmp.Diff(rows[0], rows[1])
	if diff != "" {
		t.Errorf("the two languages differ (-English +Chinese):\n%s", diff)
	}
}
