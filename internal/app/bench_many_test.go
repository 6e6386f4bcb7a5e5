package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// BenchmarkHundredThousandServers boots 100,000 servers on 2,000 hosts, and then
// looks whether anything takes longer because there are so many: each call is made
// a hundred times, each list ten times, one after the other. It takes some minutes.
func BenchmarkHundredThousandServers(b *testing.B) {
	const servers = 100_000
	for range b.N {
		b.StopTimer()
		cloud := startApart(b, 2000)
		cloud.boot(b, servers, 0)
		b.ReportMetric(peak(b, cloud.server.Process.Pid), "MB-peak")
		b.ReportMetric(fileMB(b, cloud.config.DB), "MB-file")

		<-time.After(10 * time.Second) // until the last hosts' reports are written
		idle := usedBy(b, cloud.server.Process.Pid)
		<-time.After(20 * time.Second)
		b.ReportMetric((usedBy(b, cloud.server.Process.Pid)-idle).Seconds()*100/20, "%-cpu-idle")
		b.ReportMetric(resident(b, cloud.server.Process.Pid), "MB-at-rest")
		cloud.askAll(b)

		began := time.Now()
		cloud.stop(b)
		b.ReportMetric(time.Since(began).Seconds(), "s-stop")
		began = time.Now()
		cloud.start(b)
		b.ReportMetric(time.Since(began).Seconds(), "s-start")
		b.ReportMetric(resident(b, cloud.server.Process.Pid), "MB-started")
	}
}

// askAll reports how long calls take.
func (a *apart) askAll(b *testing.B) {
	admin := a.Admin()
	token, base := admin.Token(), a.URL+"/compute/v2.1"
	report := func(what string, times int, do func(i int)) {
		took := make([]time.Duration, times)
		for i := range took {
			began := time.Now()
			do(i)
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		b.ReportMetric(took[times/2].Seconds()*1000, "ms-"+what)
		b.ReportMetric(took[times*99/100].Seconds()*1000, "ms-"+what+"-p99")
	}
	list := func(query string) (ids []string) {
		var page struct{ Servers []struct{ ID string } }
		err := json.Unmarshal(ask(b, "GET", base+query, token, nil, 200), &page)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range page.Servers {
			ids = append(ids, s.ID)
		}
		return ids
	}
	ids := list("/servers?limit=1000")
	deep := ids[len(ids)-1]
	for range 49 { // to the middle
		page := list("/servers?limit=1000&marker=" + deep)
		deep = page[len(page)-1]
	}
	body, err := json.Marshal(map[string]any{"server": map[string]any{
		"name": "one-more", "flavorRef": admin.Flavor(b, "bench"), "imageRef": admin.Image(b, "cirros"),
		"networks": []any{map[string]any{"uuid": admin.Network(b, "bench")}}}})
	if err != nil {
		b.Fatal(err)
	}
	report("create", 100, func(int) { ask(b, "POST", base+"/servers", token, body, 202) })
	report("show", 100, func(i int) { ask(b, "GET", base+"/servers/"+ids[i], token, nil, 200) })
	for what, query := range map[string]string{
		"first":   "/servers/detail?limit=1000",
		"deep":    "/servers/detail?limit=1000&marker=" + deep,
		"active":  "/servers/detail?limit=1000&status=ACTIVE",
		"error":   "/servers/detail?limit=1000&status=ERROR",
		"host":    "/servers/detail?limit=1000&all_tenants=1&host=crowd-7",
		"project": "/servers/detail?limit=1000&all_tenants=1&project_id=" + admin.Project(b),
		"name":    "/servers/detail?limit=1000&name=one-more",
		"nobody":  "/servers/detail?limit=1000&all_tenants=1&project_id=nobody",
		"address": "/servers/detail?limit=1000&ip=10.64.7.7",
	} {
		report(what, 10, func(int) { list(query) })
	}
	report("ports-of-one", 10, func(i int) { ask(b, "GET", a.URL+"/network/v2.0/ports?device_id="+ids[i], token, nil, 200) })
	report("hypervisors", 10, func(int) { ask(b, "GET", base+"/os-hypervisors/detail?limit=1000", token, nil, 200) })
	report("delete", 100, func(i int) { ask(b, "DELETE", base+"/servers/"+ids[i+100], token, nil, 204) })
}

// fileMB is the size of a database with its journal.
func fileMB(b *testing.B, source string) float64 {
	var size int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(source + suffix)
		if err != nil {
			b.Skip(fmt.Sprint("the figures are those of SQLite: ", err))
		}
		size += info.Size()
	}
	return float64(size) / (1 << 20)
}
