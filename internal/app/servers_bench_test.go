package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/cluster"
	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/testcloud"
)

// What 1,000 nodes of another process cost the server that holds them all, and how
// long a changed document takes from before its commit until its node has it.
func BenchmarkThousandNodes(b *testing.B) {
	const nodes, watched, changes = 1000, 20, 2000
	cloud := testcloud.Start(b, testcloud.Servers(1), testcloud.Nodes(1))
	server := cloud.App
	before := resident(b, os.Getpid())
	began := time.Now()
	token, _, err := server.Cluster.NewToken(context.Background(), cluster.JoinToken{Uses: nodes})
	if err != nil {
		b.Fatal(err)
	}
	crowd(b, server.Config.Advertise, token, simNetwork(b, cloud.App.Simulated.Fabric), nodes)
	await.Until(b, "all nodes to be up", 5*time.Minute, func() bool {
		list, err := server.Hosts.List(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		up := 0
		for _, h := range list {
			if h.Here {
				up++
			}
		}
		return up >= nodes
	})
	joined, held := time.Since(began), resident(b, os.Getpid())

	var mu sync.Mutex // guards took
	var took []time.Duration
	arrived := make(chan struct{}, changes)
	hear := func(d nodeapi.Desired) {
		now := time.Now()
		for _, document := range d.Documents {
			var m nodeapi.Machine
			err := json.Unmarshal(document.Body, &m)
			if err != nil {
				b.Error(err)
			}
			sent, err := strconv.ParseInt(m.Name, 10, 64)
			if err != nil {
				b.Error(err)
			}
			mu.Lock()
			took = append(took, now.Sub(time.Unix(0, sent)))
			mu.Unlock()
			arrived <- struct{}{}
		}
	}
	for i := range watched {
		e := join(b, cloud, fmt.Sprint("watched-", i))
		_, err := e.greet(b, e.host, nodeapi.HostInfo{}, hear)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		var writing sync.WaitGroup
		for w := range 4 {
			writing.Go(func() {
				for i := range changes / 4 {
					id := fmt.Sprint("machine-", w, "-", i)
					err := server.DB.Write(context.Background(), func(tx *db.Tx) error {
						_, err := server.Hosts.Want(context.Background(), tx, fmt.Sprint("watched-", i%watched), nodeapi.KindMachine, id,
							nodeapi.Machine{ID: id, Name: fmt.Sprint(time.Now().UnixNano())})
						return err
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		writing.Wait()
		for range changes {
			<-arrived
		}
	}
	b.StopTimer()
	b.ReportMetric(joined.Seconds(), "s-to-join")
	b.ReportMetric(held, "MB-resident")
	b.ReportMetric((held-before)*1024/nodes, "KiB/node")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
