package dbtest

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"nacre/internal/db"
)

// template is the database that those of tests are copies of.
const template = "template_nacre"

// keeper marks the process that keeps the server; it is the test binary itself.
// Its value tells whether the server waits for the disk.
const keeper = "NACRE_DBTEST_KEEPER"

func init() {
	if os.Getenv(keeper) != "" {
		err := keep()
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

type postgresServer struct {
	folder string
	admin  *sql.DB
	life   io.Closer // the keeper ends when this is closed, or this process gone
}

// keeping is the keeper of this process, if it has one.
var keeping struct {
	sync.Mutex
	end func()
}

// End ends the server that tests have been using, and waits until nothing is left
// of it. Only a process that takes all others with it when it ends must call it:
// the keeper needs a moment longer.
func End() {
	keeping.Lock()
	defer keeping.Unlock()
	if keeping.end != nil {
		keeping.end()
		keeping.end = nil
	}
}

// durability is on for benchmarks: they measure what users wait for.
func durability() string {
	bench := flag.Lookup("test.bench")
	if bench != nil && bench.Value.String() != "" {
		return "on"
	}
	return "off"
}

// startServer starts the keeper and makes the template.
func startServer() (*postgresServer, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(own)
	cmd.Env = append(os.Environ(), keeper+"="+durability())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tests; the keeper ends after them
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	err = cmd.Start()
	if err != nil {
		return nil, err
	}
	keeping.Lock()
	keeping.end = func() {
		life.Close()
		_ = cmd.Wait()
	}
	keeping.Unlock()
	line, err := bufio.NewReader(out).ReadString('\n')
	said := strings.TrimSpace(line)
	folder, ready := strings.CutPrefix(said, "ready ")
	if err != nil || !ready {
		return nil, fmt.Errorf("the keeper says %q: %w", said, errors.Join(err, cmd.Wait()))
	}
	s := &postgresServer{folder: folder, life: life}
	s.admin, err = sql.Open("pgx", s.source("postgres"))
	if err != nil {
		return nil, err
	}
	s.admin.SetMaxOpenConns(2)
	err = s.do("CREATE DATABASE " + template)
	if err != nil {
		return nil, err
	}
	d, err := db.Open(context.Background(), s.source(template))
	if err != nil {
		return nil, err
	}
	return s, d.Close()
}

func (s *postgresServer) source(database string) string {
	return "postgres://postgres@/" + database + "?host=" + s.folder
}

func (s *postgresServer) do(statement string) error {
	_, err := s.admin.Exec(statement)
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// keep runs the server until the tests have ended.
func keep() error {
	folder, err := os.MkdirTemp("", "nacre-pg-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	server, err := Prepare(folder, os.Getenv(keeper))
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	postgres := server()
	postgres.Stdout, postgres.Stderr = log, log
	err = postgres.Start()
	if err != nil {
		return err
	}
	err = waitUntilReady(folder)
	if err == nil {
		fmt.Println("ready", folder)
		io.Copy(io.Discard, os.Stdin)
	} else {
		said, _ := os.ReadFile(log.Name())
		err = fmt.Errorf("%w: %s", err, said)
	}
	postgres.Process.Signal(syscall.SIGQUIT) // at once, without a checkpoint
	postgres.Wait()
	return err
}

// Prepare makes what a PostgreSQL server keeps in a folder, and says how to run
// it: it listens on a unix socket in the folder, and lets the user postgres in.
// Durable is "on" when commits have to reach the disk, else "off".
func Prepare(folder, durable string) (server func() *exec.Cmd, err error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	attr, err := unprivileged(folder)
	if err != nil {
		return nil, err
	}
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(programs, program), args...)
		own := *attr
		cmd.Dir, cmd.SysProcAttr = folder, &own
		cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
		return cmd
	}
	data := filepath.Join(folder, "data")
	said, err := run("initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--no-sync", "--no-instructions").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, said)
	}
	settings := []string{"-D", data, "-k", folder}
	for _, set := range []string{
		"listen_addresses=", "fsync=" + durable, "full_page_writes=" + durable, "max_connections=500",
		"shared_buffers=128MB", "autovacuum_naptime=5s", "max_wal_size=256MB",
	} {
		settings = append(settings, "-c", set)
	}
	return func() *exec.Cmd { return run("postgres", settings...) }, nil
}

func waitUntilReady(folder string) error {
	conn, err := sql.Open("pgx", "postgres://postgres@/postgres?host="+folder)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		err = conn.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return err
		}
	}
}

// unprivileged says how to run as somebody who isn't root, which PostgreSQL
// refuses to be, and gives the folder to them.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() != 0 {
		return attr, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(folder, uid, gid)
}

// findPrograms finds the folder of PostgreSQL's programs, which Debian keeps
// out of the path.
func findPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		return filepath.Dir(newest), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed (package postgresql-15): %w", err)
	}
	return filepath.Dir(initdb), nil
}
