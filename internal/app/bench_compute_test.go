package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/testcloud"
)

// boot asks for servers, sixteen at a time, and waits until all are ACTIVE. It
// returns how long the answers took, the quickest first. At a pace, so many a second,
// an answer takes the time from when it was due to be asked for.
func boot(b testing.TB, cloud *testcloud.Cloud, n, pace int) []time.Duration {
	admin := cloud.Admin()
	token := admin.Token()
	network := createNetwork(b, admin, "10.64.0.0/12")
	var flavor struct{ Flavor struct{ ID string } }
	admin.Must(b, 200, "POST", "/compute/v2.1/flavors", map[string]any{"flavor": map[string]any{
		"name": "bench", "vcpus": 1, "ram": 64, "disk": 1}}).JSON(b, &flavor)
	image := admin.Image(b, "cirros")
	body, err := json.Marshal(map[string]any{"server": map[string]any{
		"name": "bench", "flavorRef": flavor.Flavor.ID, "imageRef": image, "networks": []any{map[string]any{"uuid": network}}}})
	if err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, n)
	var next atomic.Int64
	var clients sync.WaitGroup
	start := time.Now()
	for range 16 {
		clients.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				began := time.Now()
				if pace > 0 {
					began = start.Add(time.Duration(i) * time.Second / time.Duration(pace))
					<-time.After(time.Until(began))
				}
				ask(b, "POST", cloud.URL+"/compute/v2.1/servers", token, body, 202)
				took[i] = time.Since(began)
			}
		})
	}
	clients.Wait()
	// One that is not ready is enough to go on waiting, and cheap to ask for.
	await.Until(b, "no server to be in BUILD", 10*time.Minute, func() bool { return countServers(b, cloud, token, "/servers?limit=1&status=BUILD", 1) == 0 })
	if got := countServers(b, cloud, token, "/servers?limit=1000&status=ACTIVE", n); got != n {
		b.Fatalf("%d servers are ACTIVE, want %d", got, n)
	}
	slices.Sort(took)
	return took
}

// countServers counts those of a list, page by page, until there are enough. All are
// called bench. Of a page only the link at its end is parsed: what a client makes of
// two megabytes of JSON is its own matter.
func countServers(b testing.TB, cloud *testcloud.Cloud, token, list string, enough int) int {
	count, url, page := 0, cloud.URL+"/compute/v2.1"+list, new(bytes.Buffer)
	for {
		text := askInto(b, page, "GET", url, token, nil, 200)
		count += bytes.Count(text, []byte(`"name":"bench"`))
		at := bytes.LastIndex(text, []byte(`"servers_links":`))
		if count >= enough || at < 0 {
			return count
		}
		var end struct {
			Links []struct{ Href string } `json:"servers_links"`
		}
		err := json.Unmarshal(append([]byte("{"), text[at:]...), &end)
		if err != nil || len(end.Links) == 0 {
			b.Fatalf("a page ends with %s: %v", text[at:], err)
		}
		url = end.Links[0].Href
	}
}

// BenchmarkThousandServers boots 1,000 servers on 100 hosts, all in this process.
func BenchmarkThousandServers(b *testing.B) {
	wide()
	for range b.N {
		b.StopTimer()
		cloud := testcloud.Start(b, testcloud.Nodes(100))
		raise(b, cloud.Admin())
		start := used(b)
		b.StartTimer()
		boot(b, cloud, 1000, 0)
		b.ReportMetric((used(b) - start).Seconds(), "cpu-s")
	}
}

// BenchmarkTenThousandServers boots 10,000 servers on 1,000 hosts, and then asks for
// one of them and, 21 times, for all: the first time, half of the times, nearly always.
// The server's memory and processor time are its own; those of hosts and clients stand
// beside them. At rest is ten seconds later.
func BenchmarkTenThousandServers(b *testing.B) {
	for range b.N {
		b.StopTimer()
		cloud := startApart(b, 1000)
		pid := cloud.server.Process.Pid
		b.ReportMetric(resident(b, pid), "MB-before")
		took := cloud.boot(b, 10_000, 0)
		b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-post-p99")
		b.ReportMetric(peak(b, pid), "MB-peak")
		b.ReportMetric(resident(b, cloud.hosts.Process.Pid), "MB-hosts")
		b.ReportMetric(resident(b, os.Getpid()), "MB-clients")
		<-time.After(10 * time.Second)
		b.ReportMetric(resident(b, pid), "MB-at-rest")
		token := cloud.Admin().Token()
		var ids struct{ Servers []struct{ ID string } }
		err := json.Unmarshal(ask(b, "GET", cloud.URL+"/compute/v2.1/servers?limit=100", token, nil, 200), &ids)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		for _, server := range ids.Servers {
			ask(b, "GET", cloud.URL+"/compute/v2.1/servers/"+server.ID, token, nil, 200)
		}
		b.ReportMetric(time.Since(began).Seconds()*1000/float64(len(ids.Servers)), "ms-show")
		var lists []time.Duration
		for range 21 {
			began = time.Now()
			countServers(b, cloud.Cloud, token, "/servers/detail?limit=1000", 10_000)
			lists = append(lists, time.Since(began))
		}
		b.ReportMetric(lists[0].Seconds()*1000, "ms-details-first")
		slices.Sort(lists)
		b.ReportMetric(lists[len(lists)/2].Seconds()*1000, "ms-details")
		b.ReportMetric(lists[len(lists)-2].Seconds()*1000, "ms-details-p95")
		b.ReportMetric(peak(b, pid), "MB-peak-listing")
	}
}

// BenchmarkPacedServers asks for 340 servers a second, ten thousand in half a minute,
// whether those before are answered or not.
func BenchmarkPacedServers(b *testing.B) {
	for range b.N {
		b.StopTimer()
		took := startApart(b, 1000).boot(b, 10_000, 340)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-post-p50")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-post-p99")
	}
}

func BenchmarkServersDetail(b *testing.B) {
	wide()
	cloud := testcloud.Start(b, testcloud.Nodes(100))
	raise(b, cloud.Admin())
	boot(b, cloud, 1000, 0)
	token := cloud.Admin().Token()
	defer measure(b, "lists")()
	page := new(bytes.Buffer)
	for range b.N {
		text := askInto(b, page, "GET", cloud.URL+"/compute/v2.1/servers/detail?limit=1000", token, nil, 200)
		b.SetBytes(int64(len(text)))
	}
}
