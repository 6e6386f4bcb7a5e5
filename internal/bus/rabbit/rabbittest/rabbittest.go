// Package rabbittest runs a real RabbitMQ broker for the tests of a package.
//
// It starts once per test binary, in a folder of its own, on loopback ports of
// its own, without plugins, and ends with the binary, however that ends. A test
// that stops, kills or freezes the broker has one of its own by Start.
package rabbittest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nacre/internal/clock"
)

const (
	program = "/usr/lib/rabbitmq/bin/rabbitmq-server" // Debian's own wrapper insists on the system's folders

	control = "/usr/lib/rabbitmq/bin/rabbitmqctl"

	hosts = 20 // virtual hosts for tests that share a broker

	// patience is how long the broker may take: a minute on a loaded machine.
	patience = 3 * time.Minute
)

// Broker is a broker that tests may stop, kill and freeze.
type Broker struct {
	folder string
	env    []string
	port   int
	epmd   *process // knows the broker's name; the broker's own would outlive it
	broker *process
	taken  atomic.Int32 // virtual hosts
}

type process struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	ended  chan struct{}
}

var (
	shared = sync.OnceValues(start)
	mu     sync.Mutex // guards all
	all    []*Broker
)

// URL is the address of a virtual host of the test's own on the broker that
// the tests share.
func URL(t testing.TB) string {
	t.Helper()
	b, err := shared()
	if err != nil {
		t.Fatalf("start RabbitMQ (is rabbitmq-server installed?): %v", err)
	}
	return b.host(t)
}

// Begin starts the shared broker in the background, so that it is there when the
// first test wants it.
func Begin() { go shared() }

// End ends all brokers; TestMain calls it.
func End() {
	mu.Lock()
	defer mu.Unlock()
	for _, b := range all {
		b.Kill()
		b.epmd.kill()
		os.RemoveAll(b.folder)
	}
}

// Start starts a broker of the test's own.
func Start(t testing.TB) *Broker {
	t.Helper()
	b, err := start()
	if err != nil {
		t.Fatalf("start RabbitMQ (is rabbitmq-server installed?): %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker said at its end:\n%s", b.broker.output)
		}
		b.Kill()
		b.epmd.kill()
		os.RemoveAll(b.folder)
	})
	return b
}

func start() (*Broker, error) {
	folder, err := os.MkdirTemp("", "nacre-rabbit-")
	if err != nil {
		return nil, err
	}
	b := &Broker{folder: folder}
	mu.Lock()
	all = append(all, b)
	mu.Unlock()
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	b.port = ports[0]
	path := func(name string) string { return filepath.Join(folder, name) }
	err = errors.Join(
		os.WriteFile(path("plugins"), []byte("[].\n"), 0o600),
		os.WriteFile(path("rabbitmq.conf"), []byte("load_definitions = "+path("definitions.json")+"\n"), 0o600),
		os.WriteFile(path("definitions.json"), definitions(), 0o600),
	)
	if err != nil {
		return nil, err
	}
	b.env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + folder,
		"RABBITMQ_NODENAME=nacre-" + clock.Hex()[:8] + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(b.port), "RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[1]),
		"RABBITMQ_MNESIA_BASE=" + path("mnesia"), "RABBITMQ_LOG_BASE=" + path("log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE=" + path("rabbitmq.conf"), "RABBITMQ_CONF_ENV_FILE=" + path("none"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + path("none"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + path("plugins"),
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + strconv.Itoa(ports[2]),
	}
	b.epmd, err = b.run("epmd", "-address", "127.0.0.1", "-port", strconv.Itoa(ports[2]))
	if err != nil {
		return nil, err
	}
	return b, b.Run()
}

// freePorts finds ports that nobody uses at the moment.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// run starts a program that ends with this process. The thread that starts it
// stays, since the kernel takes the thread for the parent.
func (b *Broker) run(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), output: &lockedBuffer{}, ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = b.env, b.folder, p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
	}()
	return p, <-started
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

func (p *process) kill() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// Run starts the broker, or starts it again, and waits until it listens.
func (b *Broker) Run() error {
	var err error
	b.broker, err = b.run(program)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", b.Address())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-b.broker.ended:
			return fmt.Errorf("RabbitMQ ended: %s", b.broker.output)
		case <-ctx.Done():
			return fmt.Errorf("RabbitMQ does not listen after %s: %s", patience, b.broker.output)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Address is where the broker listens.
func (b *Broker) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// URL is the address of the broker's first virtual host.
func (b *Broker) URL() string { return "amqp://guest:guest@" + b.Address() + "/" }

// host takes a virtual host that no other test has. Making one takes the
// broker's own tools seconds, so they are made at its start.
func (b *Broker) host(t testing.TB) string {
	t.Helper()
	n := int(b.taken.Add(1))
	if n > hosts {
		t.Fatalf("all %d virtual hosts are taken: rabbittest has to make more", hosts)
	}
	return b.URL() + hostName(n)
}

func hostName(n int) string { return fmt.Sprintf("test-%d", n) }

// definitions are the user guest and the virtual hosts.
func definitions() []byte {
	type object map[string]any
	salt := []byte("salt")
	hash := sha256.Sum256(append(slices.Clone(salt), "guest"...))
	hostList, permissions := []object{{"name": "/"}}, []object{}
	for n := range hosts {
		hostList = append(hostList, object{"name": hostName(n + 1)})
	}
	for _, host := range hostList {
		permissions = append(permissions, object{"user": "guest", "vhost": host["name"], "configure": ".*", "write": ".*", "read": ".*"})
	}
	content, err := json.Marshal(object{
		"users": []object{{
			"name": "guest", "password_hash": base64.StdEncoding.EncodeToString(append(salt, hash[:]...)),
			"hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator",
		}},
		"vhosts": hostList, "permissions": permissions,
	})
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return content
}

// Kill ends the broker as a power cut does.
func (b *Broker) Kill() { b.broker.kill() }

// Stop ends the broker in its own way.
func (b *Broker) Stop() {
	b.broker.signal(syscall.SIGTERM)
	<-b.broker.ended
}

// Freeze stops the broker in the middle of what it does; Thaw lets it go on.
func (b *Broker) Freeze() { b.broker.signal(syscall.SIGSTOP) }

// Thaw lets a frozen broker go on.
func (b *Broker) Thaw() { b.broker.signal(syscall.SIGCONT) }

// Alarm has the broker miss space on its disk, so that it takes nothing from
// publishers; Calm ends that.
func (b *Broker) Alarm(t testing.TB) { b.limit(t, "1000000GB") }

// Calm ends the broker's alarm.
func (b *Broker) Calm(t testing.TB) { b.limit(t, "1MB") }

// limit sets how much space the broker wants on its disk.
func (b *Broker) limit(t testing.TB, space string) {
	t.Helper()
	cmd := exec.Command(control, "set_disk_free_limit", space)
	cmd.Env, cmd.Dir = b.env, b.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("set the broker's limit: %v: %s", err, out)
	}
}

type lockedBuffer struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

// String gives the last of it.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.all.Bytes()
	return string(text[max(0, len(text)-4000):])
}
