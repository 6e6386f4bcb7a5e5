package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// source is one Go file of ours.
type source struct {
	path      string // from the root of the tree, with slashes
	dir       string
	file      *ast.File
	lines     int
	generated bool
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// sources parses every Go file below cmd, internal, build and examples.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	for _, top := range []string{"cmd", "internal", "build", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, content, parser.ParseComments)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			name = filepath.ToSlash(name)
			out = append(out, source{
				path: name, dir: name[:strings.LastIndex(name, "/")], file: f,
				lines: strings.Count(string(content), "\n"), generated: ast.IsGenerated(f),
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d files were found below %s", len(out), root)
	}
	return out
}

// layer is where a package stands; imports point to a lower layer or to the
// same folder's children. The order is that of the map in docs/architecture.md.
var layers = []struct {
	prefix string
	layer  int
}{
	{"internal/atomicfile", 0}, {"internal/lock", 0}, {"internal/errs", 0}, {"internal/golden", 0}, {"internal/await", 0}, {"internal/clock", 0}, {"internal/scenario", 0}, {"internal/boolean", 0}, {"internal/nodeapi", 0}, {"internal/vif", 0}, {"internal/nbd", 0}, {"internal/image/inspect", 0},
	{"internal/auth", 1}, {"internal/db", 1}, {"internal/directory", 1}, {"internal/blob", 1}, {"internal/configdrive", 1}, {"internal/fetch", 1}, {"internal/qemuimg", 1}, {"internal/qmp", 1}, {"internal/guest", 1},
	{"internal/virt", 2}, {"internal/fabric", 2}, {"internal/blockdev", 2},
	{"internal/backup", 2}, {"internal/loop", 2}, {"internal/quota", 2}, {"internal/bus", 3}, {"internal/work", 4}, {"internal/hosts", 5},
	{"internal/node", 4}, {"internal/cluster", 4}, {"internal/api", 4}, {"internal/console", 6},
	{"internal/identity", 6}, {"internal/image", 6}, {"internal/placement", 6}, {"internal/compute", 6},
	{"internal/network", 6}, {"internal/volume", 6}, {"internal/object", 6},
	{"internal/app", 7}, {"internal/testcloud", 8}, {"internal/soak", 9}, {"internal/arch", 9}, {"cmd", 9}, {"build", 9}, {"examples", 9},
}

func layerOf(dir string) (prefix string, layer int, known bool) {
	for _, l := range layers {
		if dir == l.prefix || strings.HasPrefix(dir, l.prefix+"/") {
			return l.prefix, l.layer, true
		}
	}
	return "", 0, false
}

var services = []string{"identity", "image", "placement", "compute", "network", "volume", "object"}

// A test that opens a database gets it from dbtest, so that it runs on either.
func TestTestsRunOnBothDatabases(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test() || strings.HasPrefix(s.dir, "internal/db") || !calls(s.file, "db", "Open") {
			continue
		}
		helped := slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
			return strings.Contains(i.Path.Value, "internal/db/dbtest")
		})
		if !helped {
			t.Errorf("%s opens a database by itself: use internal/db/dbtest", s.path)
		}
	}
}

// calls tells whether the file calls a function of a package.
func calls(f *ast.File, pkg, function string) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if ok && call.Sel.Name == function {
			name, ok := call.X.(*ast.Ident)
			found = found || ok && name.Name == pkg
		}
		return !found
	})
	return found
}

func TestImportsPointOneWay(t *testing.T) {
	for _, s := range sources(t) {
		from, layer, known := layerOf(s.dir)
		if !known {
			t.Errorf("%s: the folder has no place in the map: give it one here and in docs/architecture.md", s.path)
			continue
		}
		for _, spec := range s.file.Imports {
			path, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "nacre/")
			if !ours || s.test() {
				continue
			}
			to, target, _ := layerOf(path)
			if to == from {
				continue
			}
			if target >= layer {
				t.Errorf("%s imports %s, which is not below it", s.path, path)
			}
		}
	}
}

// Below the api folders nothing speaks HTTP, and no service knows another.
func TestServicesKnowNeitherHTTPNorEachOther(t *testing.T) {
	for _, s := range sources(t) {
		for _, service := range services {
			own := "internal/" + service
			if s.dir != own || s.test() {
				continue
			}
			for _, spec := range s.file.Imports {
				path := strings.Trim(spec.Path.Value, `"`)
				if path == "net/http" || path == "nacre/internal/api" {
					t.Errorf("%s imports %s: HTTP belongs to %s/api", s.path, path, own)
				}
				for _, other := range services {
					if other != service && strings.HasPrefix(path, "nacre/internal/"+other) {
						t.Errorf("%s imports %s: declare an interface of what %s needs", s.path, path, service)
					}
				}
			}
		}
	}
}

// What the node contract says is read by two sides of different age, so it
// depends on nothing of ours.
func TestNodeContractStandsAlone(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir != "internal/nodeapi" || s.test() {
			continue
		}
		for _, spec := range s.file.Imports {
			if strings.HasPrefix(strings.Trim(spec.Path.Value, `"`), "nacre/") {
				t.Errorf("%s imports %s", s.path, spec.Path.Value)
			}
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	const limit = 600
	for _, s := range sources(t) {
		if s.lines > limit && !s.generated {
			t.Errorf("%s has %d lines, more than %d: split it by what it is about", s.path, s.lines, limit)
		}
	}
}

func TestPackagesExplainThemselves(t *testing.T) {
	explained := map[string]bool{}
	packages := map[string]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		packages[s.dir] = s.file.Name.Name
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 60 {
			explained[s.dir] = true
		}
	}
	for dir, name := range packages {
		if !explained[dir] {
			t.Errorf("%s: no file has a package comment that says what it owns and promises", dir)
		}
		switch name {
		case "util", "utils", "common", "helpers", "models", "manager", "misc":
			t.Errorf("%s: %s is no name for a package", dir, name)
		}
	}
}

// No shell and no sleeping for a state.
func TestForbiddenCalls(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir == "internal/arch" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			name, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch name.Name + "." + selector.Sel.Name {
			case "time.Sleep":
				t.Errorf("%s sleeps: wait for a condition or use the clock", s.path)
			case "exec.Command", "exec.CommandContext":
				for _, arg := range call.Args {
					literal, ok := arg.(*ast.BasicLit)
					if ok && (literal.Value == `"sh"` || literal.Value == `"bash"`) && !s.test() {
						t.Errorf("%s runs a shell: run programs by argument list", s.path)
					}
				}
			}
			return true
		})
	}
}

// What the product stands on is a decision that somebody has explained.
func TestDependenciesAreExplained(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/decisions/0005-dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	var direct, explained []string
	for line := range strings.Lines(string(module)) {
		path, version, found := strings.Cut(strings.TrimSpace(line), " v")
		if found && strings.HasPrefix(line, "\t") && !strings.Contains(version, "// indirect") {
			direct = append(direct, path)
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`.*`"+`) \|`).FindAllStringSubmatch(string(page), -1) {
		for path := range strings.SplitSeq(row[1], ", ") {
			explained = append(explained, strings.Trim(path, "`"))
		}
	}
	slices.Sort(direct)
	slices.Sort(explained)
	diff := cmp.Diff(direct, explained)
	if diff != "" {
		t.Errorf("docs/decisions/0005-dependencies.md differs from go.mod (-go.mod +page):\n%s", diff)
	}
}
