package soak

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/await"
	"nacre/internal/bus/rabbit/rabbittest"
	"nacre/internal/testcloud"
)

const (
	servers      = 2
	nodes        = 2 // processes, of
	hostsPerNode = 2
)

// lab is a cluster, each part a process: a database, a broker, servers, and nodes
// that simulate hosts. Each way between two of them is a link.
type lab struct {
	t        *testing.T
	dir      string
	postgres *Postgres
	broker   *rabbittest.Broker
	fabric   *Process
	servers  []*server
	nodes    []*Process
	links    []*Link
}

type server struct {
	*Process
	dir    string
	listen string // for clients
	public string // for nodes and other servers, through a link
}

// newLab starts everything and waits until all hosts are up.
func newLab(t *testing.T) *lab {
	t.Helper()
	folder, err := os.MkdirTemp("", "nacre-soak-pg-") // which another account can enter, unlike TempDir's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	l := &lab{t: t, dir: t.TempDir(), broker: rabbittest.Start(t), postgres: NewPostgres(t, folder)}
	network := "unix:" + filepath.Join(l.dir, "fabric")
	l.fabric = Ours(t, "the simulated network", func() Part { return Part{Fabric: network} })
	l.fabric.Start()
	var public []string
	for i := range servers {
		s := l.newServer(i, network)
		l.servers = append(l.servers, s)
		public = append(public, s.public)
		s.Start()
		s.Ready("https://" + s.listen) // one after the other, since the first makes what all share
	}
	var reply struct{ Token string }
	l.admin().Must(t, "POST", "/nacre/v1/join-tokens", map[string]any{"uses": nodes * hostsPerNode, "seconds": 3600}, 201, &reply)
	for i := range nodes {
		p := &app.NodeConfig{
			Servers: public, Join: reply.Token, DataDir: filepath.Join(l.dir, fmt.Sprintf("node-%d", i+1)),
			Name: fmt.Sprintf("n%d", i+1), SimFabric: network, Simulated: hostsPerNode, LogLevel: "error",
		}
		n := Ours(t, "node "+p.Name, func() Part { return Part{Node: p} })
		l.nodes = append(l.nodes, n)
		n.Start()
	}
	l.awaitHosts()
	return l
}

func (l *lab) newServer(i int, network string) *server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	s := &server{
		dir: filepath.Join(l.dir, fmt.Sprintf("server-%d", i+1)), listen: testcloud.FreeAddress(l.t), public: "https://" + listener.Addr().String(),
	}
	l.link(listener, "tcp", s.listen)
	sockets := l.t.TempDir() // where this server finds the database
	listener, err = net.Listen("unix", filepath.Join(sockets, ".s.PGSQL.5432"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.link(listener, "unix", filepath.Join(l.postgres.Folder, ".s.PGSQL.5432"))
	listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.link(listener, "tcp", l.broker.Address())
	s.Process = Ours(l.t, fmt.Sprintf("server %d", i+1), func() Part {
		return Part{Cloud: &app.Config{
			Server: true, DataDir: s.dir, Listen: s.listen, Advertise: s.public,
			DB:      "postgres://postgres@/nacre?host=" + sockets,
			Bus:     "amqp://guest:guest@" + listener.Addr().String() + "/",
			KeyFile: filepath.Join(l.dir, "keys"), Blobs: filepath.Join(l.dir, "blobs"), SimFabric: network, LogLevel: "error",
		}}
	})
	return s
}

func (l *lab) link(listener net.Listener, network, address string) {
	l.links = append(l.links, NewLink(l.t, listener, network, address))
}

func (l *lab) client(user string) *Client {
	l.t.Helper()
	dir := l.servers[0].dir
	known, err := ReadSecrets(dir)
	if err != nil {
		l.t.Fatal(err)
	}
	var urls []string
	for _, s := range l.servers {
		urls = append(urls, "https://"+s.listen)
	}
	return NewClient(l.t, filepath.Join(dir, "ca.pem"), user, map[string]string{"admin": known.Admin, "demo": known.Demo}[user], urls...)
}

func (l *lab) admin() *Client { return l.client("admin") }

// awaitHosts waits until every host is connected to one of the servers.
func (l *lab) awaitHosts() {
	l.t.Helper()
	admin := l.admin()
	await.Until(l.t, "all hosts to be up", time.Minute, func() bool {
		var all []struct{ Up bool }
		admin.List(l.t, "/nacre/v1/nodes", "nodes", &all)
		up := 0
		for _, h := range all {
			if h.Up {
				up++
			}
		}
		return up == nodes*hostsPerNode
	})
}
