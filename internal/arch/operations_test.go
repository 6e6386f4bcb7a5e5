package arch

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var operations = []string{"docs/operations.md", "docs/zh-CN/operations.md"}

func page(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Whoever reads a warning in the log finds out what it means, in either language.
func TestWarningsAreExplained(t *testing.T) {
	var logged []string
	for _, s := range sources(t) {
		if s.test() || strings.HasSuffix(path.Base(s.dir), "test") || !strings.HasPrefix(s.dir, "internal/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			message := warning(n)
			if message != "" {
				logged = append(logged, strings.TrimSpace(message))
			}
			return true
		})
	}
	slices.Sort(logged)
	logged = slices.Compact(logged)
	for _, name := range operations {
		text := page(t, name)
		last := text[strings.LastIndex(text, "\n## "):]
		var explained []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .").FindAllStringSubmatch(last, -1) {
			explained = append(explained, row[1])
		}
		slices.Sort(explained)
		diff := cmp.Diff(logged, explained)
		if diff != "" {
			t.Errorf("the last table of %s differs from what is logged (-logged +explained):\n%s", name, diff)
		}
	}
}

// warning is the message of a call that logs at WARN or ERROR, or at a level
// found while running; "" for any other node.
func warning(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	at, known := map[string]int{"Warn": 0, "Error": 0, "WarnContext": 1, "ErrorContext": 1, "LogAttrs": 2}[selector.Sel.Name]
	if !known || len(call.Args) <= at {
		return ""
	}
	return beginning(call.Args[at])
}

// beginning is the text that an expression certainly begins with.
func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			if err == nil {
				return text
			}
		}
	}
	return ""
}

// Neither language knows a command that the other does not.
func TestOperationsAreTheSameInBothLanguages(t *testing.T) {
	var blocks [][]string
	for _, name := range operations {
		blocks = append(blocks, regexp.MustCompile("(?s)\n```.*?\n```\n").FindAllString(page(t, name), -1))
	}
	diff := cmp.Diff(blocks[0], blocks[1])
	if diff != "" {
		t.Errorf("commands differ (-%s +%s):\n%s", operations[0], operations[1], diff)
	}
}
