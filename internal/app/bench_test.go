package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/app"
	"nacre/internal/db/dbtest"
	"nacre/internal/testcloud"
)

// ask sends one request and reads the reply whole, with as little of its own
// work as a benchmark can have.
func ask(b testing.TB, method, url, token string, body []byte, want int) []byte {
	return askInto(b, new(bytes.Buffer), method, url, token, body, want)
}

// askInto reads the reply into a buffer, which long lists share.
func askInto(b testing.TB, text *bytes.Buffer, method, url, token string, body []byte, want int) []byte {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("X-Subject-Token", token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("OpenStack-API-Version", "compute 2.96")
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	defer reply.Body.Close()
	text.Reset()
	text.Grow(bytes.MinRead + int(max(reply.ContentLength, 0))) // of a known length, it grows no further
	_, err = text.ReadFrom(reply.Body)
	if err != nil {
		b.Fatal(err)
	}
	if reply.StatusCode != want {
		b.Fatalf("%s %s: got %d %s, want %d", method, url, reply.StatusCode, text, want)
	}
	return text.Bytes()
}

// measure starts the measurement and returns what reports it: how many a second,
// and the processor time that client and cloud have used for each. The latter
// says on a busy machine what the former would be on an idle one.
func measure(b *testing.B, what string) func() {
	before := used(b)
	b.ResetTimer()
	return func() {
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), what+"/s")
		b.ReportMetric((used(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
	}
}

// used is the processor time of this process.
func used(b testing.TB) time.Duration {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wide gives the clients of a benchmark enough idle connections.
func wide() {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		transport.MaxIdleConnsPerHost = 64
	}
}

// From the start of the process to the first token, with an empty folder.
func BenchmarkStart(b *testing.B) {
	for range b.N {
		dir, listen := filepath.Join(b.TempDir(), "cloud"), testcloud.FreeAddress(b)
		cmd := child(b, asCloud, app.Config{DataDir: dir, DB: dbtest.SourceIn(b, dir), Listen: listen, Hosts: 3, LogLevel: "error"})
		for !signsIn(dir, listen) {
			<-time.After(2 * time.Millisecond)
		}
		b.StopTimer()
		b.ReportMetric(resident(b, cmd.Process.Pid), "MB-resident")
		kill(cmd)
		b.StartTimer()
	}
}

var osPassword = regexp.MustCompile(`OS_PASSWORD=(\S+)`)

// signsIn tells whether a cloud that is starting gives its administrator a token.
func signsIn(dir, listen string) bool {
	openrc, err := os.ReadFile(filepath.Join(dir, "openrc"))
	found := osPassword.FindSubmatch(openrc)
	if err != nil || found == nil {
		return false
	}
	reply, err := http.Post("http://"+listen+"/v3/auth/tokens", "application/json", strings.NewReader(fmt.Sprintf(
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","password":%q,"domain":{"id":"default"}}}}}}`, found[1])))
	if err != nil {
		return false
	}
	reply.Body.Close()
	return reply.StatusCode == http.StatusCreated
}

// usedBy is the processor time of another process.
func usedBy(b testing.TB, pid int) time.Duration {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), ") ") // behind the name, which may have blanks
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel's unit towards programs
}

// resident is the memory of a process in MB.
func resident(b testing.TB, pid int) float64 { return memory(b, pid, "VmRSS") }

// peak is the most memory that a process has had, in MB.
func peak(b testing.TB, pid int) float64 { return memory(b, pid, "VmHWM") }

func memory(b testing.TB, pid int, field string) float64 {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range strings.Split(string(content), "\n") {
		rest, found := strings.CutPrefix(line, field+":")
		if found {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(n) / 1024
		}
	}
	b.Fatal("no " + field)
	return 0
}

func BenchmarkTokenValidation(b *testing.B) {
	wide()
	for _, kind := range []string{"fernet", "jws"} {
		b.Run(kind, func(b *testing.B) {
			cloud := testcloud.Start(b, testcloud.TokenProvider(kind))
			token := cloud.Admin().Token()
			defer measure(b, "validations")()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask(b, "GET", cloud.URL+"/identity/v3/auth/tokens", token, nil, 200)
				}
			})
		})
	}
}

// Each port is on disk before it is answered.
func BenchmarkPortCreate(b *testing.B) {
	wide()
	cloud := testcloud.Start(b)
	admin := cloud.Admin()
	token := admin.Token()
	raise(b, admin)
	network := createNetwork(b, admin, "10.64.0.0/12")
	body, err := json.Marshal(map[string]any{"port": map[string]any{"network_id": network}})
	if err != nil {
		b.Fatal(err)
	}
	defer measure(b, "ports")()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ask(b, "POST", cloud.URL+"/network/v2.0/ports", token, body, 201)
		}
	})
}

// One client makes a hundred rules of a security group, one after the other.
func BenchmarkHundredRules(b *testing.B) {
	wide()
	cloud := testcloud.Start(b)
	admin := cloud.Admin()
	token := admin.Token()
	raise(b, admin)
	var group struct {
		Group struct{ ID string } `json:"security_group"`
	}
	admin.Must(b, 201, "POST", "/network/v2.0/security-groups", map[string]any{"security_group": map[string]any{"name": "bench"}}).JSON(b, &group)
	port := 0
	defer measure(b, "hundreds")()
	for b.Loop() {
		for range 100 {
			port++
			body, err := json.Marshal(map[string]any{"security_group_rule": map[string]any{
				"security_group_id": group.Group.ID, "direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port,
			}})
			if err != nil {
				b.Fatal(err)
			}
			ask(b, "POST", cloud.URL+"/network/v2.0/security-group-rules", token, body, 201)
		}
	}
}

// raise lifts the quotas of the admin project.
func raise(t testing.TB, admin testcloud.User) {
	var projects struct{ Projects []struct{ ID, Name string } }
	admin.Must(t, 200, "GET", "/identity/v3/projects?name=admin", nil).JSON(t, &projects)
	id := projects.Projects[0].ID
	admin.Must(t, 200, "PUT", "/network/v2.0/quotas/"+id, map[string]any{"quota": map[string]any{"port": -1, "security_group_rule": -1, "network": -1, "subnet": -1}})
	admin.Must(t, 200, "PUT", "/compute/v2.1/os-quota-sets/"+id, map[string]any{"quota_set": map[string]any{"instances": -1, "cores": -1, "ram": -1}})
}

func createNetwork(t testing.TB, admin testcloud.User, cidr string) string {
	var n struct{ Network struct{ ID string } }
	admin.Must(t, 201, "POST", "/network/v2.0/networks", map[string]any{"network": map[string]any{"name": "bench"}}).JSON(t, &n)
	admin.Must(t, 201, "POST", "/network/v2.0/subnets", map[string]any{"subnet": map[string]any{
		"network_id": n.Network.ID, "cidr": cidr, "ip_version": 4}})
	return n.Network.ID
}
