package api_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/virt"
)

// thousand makes n servers on simulated hosts by many clients at once and
// returns how long it took until all were ACTIVE.
func thousand(tb testing.TB, c *cloud, n int) time.Duration {
	tb.Helper()
	err := c.compute.SetQuotas(c.ctx, "demo", "", map[string]int64{"instances": -1, "cores": -1, "ram": -1}, true)
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() {
			for i := client; i < n; i += 16 {
				body := fmt.Sprintf(`{"server":{"name":"s-%d","imageRef":%q,"flavorRef":"1","networks":"auto"}}`, i, imageID)
				r := c.as("demo@2.96", "POST", "/servers", body)
				if r.status != 202 {
					tb.Errorf("server %d: got %d %s", i, r.status, r.body)
				}
			}
		})
	}
	clients.Wait()
	c.until("all are ACTIVE", func() bool {
		var active int
		err := c.db.Read(c.ctx, func(tx *db.Tx) error {
			return tx.Get(c.ctx, &active, "SELECT COUNT(*) FROM servers WHERE vm_state = 'active'")
		})
		if err != nil {
			tb.Fatal(err)
		}
		return active == n
	})
	return time.Since(began)
}

// BenchmarkThousandServers reports how long 1,000 servers take to ACTIVE on
// 100 hosts, and then the list of them all in detail.
func BenchmarkThousandServers(b *testing.B) {
	c := start(b, options{hosts: 100, capacity: virt.Capacity{VCPUs: 16, MemoryMB: 65536, DiskGB: 1000, Type: "fake"}})
	took := thousand(b, c, 1000)
	defer func() { b.ReportMetric(took.Seconds(), "s/1000servers") }()
	for b.Loop() {
		r := c.as("demo@2.96", "GET", "/servers/detail", "")
		if r.status != 200 {
			b.Fatalf("got %d %s", r.status, r.body)
		}
	}
}
