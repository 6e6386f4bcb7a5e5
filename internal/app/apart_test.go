package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/await"
	"nacre/internal/db/dbtest"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/testcloud"
)

// apart is a cloud as operators run it: a server in a process of its own, and its
// hosts in another one, each with a certificate and a TLS connection. This process
// has the clients, and the network of the simulated hosts.
type apart struct {
	*testcloud.Cloud
	config        app.Config
	server, hosts *exec.Cmd
}

// startApart starts a cloud and waits for its hosts.
func startApart(b testing.TB, hosts int) *apart {
	dir := filepath.Join(b.TempDir(), "server")
	a := &apart{config: app.Config{
		Server: true, DataDir: dir, DB: dbtest.SourceIn(b, dir), Listen: testcloud.FreeAddress(b), LogLevel: "error",
		SimFabric: simNetwork(b, fabricsim.New()),
	}}
	usual := http.DefaultTransport
	b.Cleanup(func() { http.DefaultTransport = usual })
	a.start(b)
	var token struct{ Token string }
	err := app.AskOwn(b.Context(), dir, "POST", "/nacre/v1/join-tokens", map[string]any{"uses": hosts}, &token)
	if err != nil {
		b.Fatal(err)
	}
	a.hosts = crowd(b, a.URL, token.Token, a.config.SimFabric, hosts)
	await.Until(b, "all hosts to have joined", 5*time.Minute, func() bool {
		var list struct {
			Providers []struct{} `json:"resource_providers"`
		}
		a.Admin().Must(b, 200, "GET", "/placement/resource_providers?resources=VCPU:1", nil, "OpenStack-API-Version", "placement 1.4").JSON(b, &list)
		return len(list.Providers) >= hosts
	})
	return a
}

// start starts the server and waits until it signs its administrator in.
func (a *apart) start(b testing.TB) {
	dir := a.config.DataDir
	a.server = child(b, asCloud, a.config)
	await.Until(b, "the server to start", time.Minute, func() bool { return a.ready() })
	content, err := os.ReadFile(filepath.Join(dir, "openrc"))
	if err != nil {
		b.Fatal(err)
	}
	found := osPassword.FindSubmatch(content)
	if found == nil {
		b.Fatal("openrc has no password")
	}
	a.Cloud = testcloud.Reach(b, "https://"+a.config.Listen, app.Secrets{Admin: string(found[1])})
	a.Admin().Token()
}

// ready tells whether the server answers, and has clients trust it from then on.
func (a *apart) ready() bool {
	authority, err := os.ReadFile(filepath.Join(a.config.DataDir, "ca.pem"))
	if err != nil {
		return false
	}
	known := x509.NewCertPool()
	known.AppendCertsFromPEM(authority)
	http.DefaultTransport = &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{RootCAs: known}}
	reply, err := http.Get("https://" + a.config.Listen + "/healthz")
	if err != nil {
		return false
	}
	reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

// stop ends the server as an operator does.
func (a *apart) stop(b testing.TB) {
	err := a.server.Process.Signal(syscall.SIGTERM)
	if err != nil {
		b.Fatal(err)
	}
	_ = a.server.Wait() // it says by which signal
}

// cost is the processor time of the server, and of hosts and clients.
func (a *apart) cost(b testing.TB) (server, others time.Duration) {
	return usedBy(b, a.server.Process.Pid), usedBy(b, a.hosts.Process.Pid) + used(b)
}

// boot is the function of that name, which alone is timed, and reports its cost.
func (a *apart) boot(b *testing.B, n, pace int) []time.Duration {
	raise(b, a.Admin())
	server, others := a.cost(b)
	b.StartTimer()
	took := boot(b, a.Cloud, n, pace)
	b.StopTimer()
	serverThen, othersThen := a.cost(b)
	b.ReportMetric((serverThen - server).Seconds(), "cpu-s")
	b.ReportMetric((othersThen - others).Seconds(), "cpu-s-others")
	return took
}

// simNetwork lets other processes use the network of simulated hosts until the
// benchmark ends, and says where.
func simNetwork(b testing.TB, network *fabricsim.Cluster) string {
	listener, err := fabricsim.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = fabricsim.Serve(ctx, network, listener) })
	b.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return listener.Addr().String()
}

// crowd runs simulated nodes in a process of its own until the benchmark ends.
func crowd(b testing.TB, server, token, network string, count int) *exec.Cmd {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "nacre-crowd")
	if err != nil {
		dir = filepath.Join(b.TempDir(), "crowd")
	} else {
		b.Cleanup(func() { os.RemoveAll(dir) })
	}
	return child(b, asNodes, app.NodeConfig{
		Servers: []string{server}, Join: token, DataDir: dir, Name: "crowd",
		Simulated: count, SimFabric: network, LogLevel: "error",
	})
}
