package soak

import (
	"net/http"
	"testing"
	"time"

	"nacre/internal/await"
)

// What users notice when one of two servers is killed: how long until a client
// that knows both addresses has an answer again, until the nodes are at the other
// server, and until the plans that were under way are finished.
func BenchmarkServerLoss(b *testing.B) {
	for range b.N {
		b.StopTimer()
		r := newRig(b, 2, 3)
		anybody := http.Client{Timeout: patience, Transport: Insecure()}
		first, second := r.servers[0], r.servers[1]
		r.up(second, 3)
		bootSome(b, r.user(first, "demo"), 2) // everybody is awake
		left := r.user(second, "demo")
		await.Until(b, "the first servers", time.Minute, func() bool { return statuses(left)["ACTIVE"] == 2 })
		ids := bootSome(b, r.user(first, "demo"), 8)
		first.Kill()
		b.StartTimer()
		began := time.Now()
		await.Until(b, "an answer", time.Minute, func() bool {
			for _, m := range r.servers {
				reply, err := anybody.Get(m.url + "/v3")
				if err == nil {
					reply.Body.Close()
					return reply.StatusCode == http.StatusOK
				}
			}
			return false
		})
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-answer")
		await.Until(b, "all nodes", time.Minute, func() bool {
			there := 0
			for _, n := range r.nodesAt(second) {
				if n.Server == r.idOf(second) {
					there++
				}
			}
			return there == 3
		})
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-nodes")
		await.Until(b, "all servers to be ACTIVE", time.Minute, func() bool { return statuses(left)["ACTIVE"] == 2+len(ids) })
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-finish")
	}
}
