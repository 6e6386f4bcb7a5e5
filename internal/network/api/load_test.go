package api_test

import (
	"fmt"
	"sync"
	"testing"
)

// Many clients at once get ports, each with an address of its own.
func TestConcurrentPortsGetDistinctAddresses(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/25") // 124 free after gateway and metadata
	var clients sync.WaitGroup
	var mu sync.Mutex
	seen, refused := map[string]bool{}, 0
	for range 10 {
		clients.Go(func() {
			for range 14 {
				r := c.call(t, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`"}}`)
				mu.Lock()
				if r.status == 409 {
					refused++
				} else {
					ip := fmt.Sprint(r.one("port")["fixed_ips"])
					if seen[ip] {
						t.Errorf("%s was given twice", ip)
					}
					seen[ip] = true
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	if len(seen) != 124 || refused != 16 {
		t.Errorf("%d ports were made and %d refused, want 124 and 16", len(seen), refused)
	}
}

func BenchmarkCreatePort(b *testing.B) {
	c := start(b)
	c.call(b, admin, "PUT", "/quotas/demo", `{"quota":{"port":-1}}`).want(200)
	net, _ := c.tenant(b, demo, "10.128.0.0/12")
	const clients = 32
	var running sync.WaitGroup
	jobs := make(chan bool)
	for range clients {
		running.Go(func() {
			for range jobs {
				c.call(b, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`"}}`).want(201)
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		jobs <- true
	}
	close(jobs)
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ports/s")
}

func BenchmarkListPorts(b *testing.B) {
	c := start(b)
	c.call(b, admin, "PUT", "/quotas/demo", `{"quota":{"port":-1}}`).want(200)
	net, _ := c.tenant(b, demo, "10.128.0.0/12")
	for range 1000 {
		c.call(b, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`"}}`).want(201)
	}
	b.ResetTimer()
	for range b.N {
		c.call(b, demo, "GET", "/ports?network_id="+net, "").want(200)
	}
}
