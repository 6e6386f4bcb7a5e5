// Command testsum runs go test and says what came of it: a line for each
// package as it finishes, the output of what failed, and the counts at the end.
// Arguments behind a -- are for another run, of tests that count on PostgreSQL,
// too.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// event is a line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

func main() {
	began := time.Now()
	sum := summary{output: map[string]*strings.Builder{}}
	// Who is interrupted has go end its tests, and leaves nothing behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	ok := true
	memory, free := inMemory()
	for i, args := range split(os.Args[1:]) {
		if ctx.Err() != nil {
			break
		}
		var env []string
		if i > 0 {
			fmt.Println("on PostgreSQL:", strings.Join(args, " "))
			env = append(memory, "NACRE_TEST_DB=postgres")
		}
		ok = sum.run(ctx, args, env) && ok
	}
	free()
	fmt.Printf("in %s\n%d passed, %d failed, %d skipped\n", time.Since(began).Round(time.Second), sum.passed, sum.failed, sum.skipped)
	if !ok {
		os.Exit(1)
	}
}

// split cuts the arguments at each --. What stands behind one is run on
// PostgreSQL.
func split(args []string) [][]string {
	runs := [][]string{nil}
	for _, a := range args {
		if a == "--" {
			runs = append(runs, nil)
			continue
		}
		last := len(runs) - 1
		runs[last] = append(runs[last], a)
	}
	return runs
}

// enough is how many bytes there have to be for files in memory. Tests leave less
// than a tenth of it behind at any time.
const enough = 8 << 30

// inMemory has tests keep their temporary files in memory, where there is enough:
// they make and drop a thousand databases of a thousand files each, which takes a
// disk a third of their time. What go builds stays where it is: there it can be run.
func inMemory() (env []string, free func()) {
	var room unix.Statfs_t
	err := unix.Statfs("/dev/shm", &room)
	if err != nil || room.Bavail*uint64(room.Bsize) < enough {
		return nil, func() {}
	}
	folder, err := os.MkdirTemp("/dev/shm", "nacre-test-")
	if err != nil {
		return nil, func() {}
	}
	free = func() { os.RemoveAll(folder) }
	err = os.Chmod(folder, 0o755) // PostgreSQL runs as somebody else
	if err != nil {
		free()
		return nil, func() {}
	}
	return []string{"TMPDIR=" + folder, "GOTMPDIR=" + os.TempDir()}, free
}

// run runs go test and tells whether all went well.
func (s *summary) run(ctx context.Context, args, env []string) bool {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-timeout", "25m"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(2)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		s.add(e)
	}
	return cmd.Wait() == nil
}

type summary struct {
	passed, failed, skipped int
	output                  map[string]*strings.Builder
}

func (s *summary) add(e event) {
	key := e.Package + " " + e.Test
	if e.Test == "" {
		s.addPackage(e)
		return
	}
	if s.output[key] == nil {
		s.output[key] = &strings.Builder{}
	}
	switch e.Action {
	case "output":
		s.output[key].WriteString(e.Output)
		return
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		fmt.Printf("skip  %s\n%s", key, s.output[key])
	case "fail":
		s.failed++
		fmt.Printf("FAIL  %s\n%s", key, s.output[key])
	default:
		return
	}
	delete(s.output, key)
}

// addPackage handles what a package says as a whole: its end, and output that
// belongs to no test, such as a compiler's or a panic's.
func (s *summary) addPackage(e event) {
	key := e.Package + " "
	switch e.Action {
	case "output", "build-output":
		if s.output[key] == nil {
			s.output[key] = &strings.Builder{}
		}
		s.output[key].WriteString(e.Output)
	case "pass":
		fmt.Printf("ok    %-50s %6.1f s\n", e.Package, e.Elapsed)
	case "fail", "build-fail":
		fmt.Printf("FAIL  %s\n", e.Package)
		if s.output[key] != nil {
			fmt.Print(s.output[key])
		}
	}
}
