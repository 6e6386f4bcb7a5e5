package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/hosts"
	"nacre/internal/node"
	"nacre/internal/nodeapi"
	virtsim "nacre/internal/virt/simulated"
)

// BenchmarkHosts tells what a connected simulated host costs, and how fast
// 1,000 machines come up on 100 of them, from the first commit to the last
// observed document on disk.
func BenchmarkHosts(b *testing.B) {
	b.Run("100 that keep documents", func(b *testing.B) {
		for range b.N {
			benchHosts(b, 100, b.TempDir())
		}
	})
	for _, count := range []int{100, 10_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			for range b.N {
				benchHosts(b, count, "")
			}
		})
	}
}

func benchHosts(b *testing.B, count int, dir string) {
	ctx, cancel := context.WithCancel(context.Background())
	d, err := db.Open(ctx, dbtest.Source(b))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	service, err := hosts.New(b.Context(), hosts.Options{DB: d})
	if err != nil {
		b.Fatal(err)
	}
	answered := make(chan string, 10_000)
	service.OnObserved(nodeapi.KindMachine, func(id string) { answered <- id })
	up := make(chan struct{}, count)
	service.OnHost(func(hosts.Host) { up <- struct{}{} })
	var work sync.WaitGroup
	work.Go(func() { service.Run(ctx) })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	network := fabricsim.New()
	for i := range count {
		name := fmt.Sprintf("host-%05d", i)
		v, err := virtsim.New(virtsim.Options{})
		if err != nil {
			b.Fatal(err)
		}
		s, err := blocksim.New(blocksim.Options{})
		if err != nil {
			b.Fatal(err)
		}
		own := ""
		if dir != "" {
			own = filepath.Join(dir, name)
		}
		n, err := node.New(node.Options{
			Name: name, Dir: own, BootID: "x", Virt: v, Block: s, Fabric: network.Host(name),
			Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
				a, e := net.Pipe()
				work.Go(func() { service.Serve(ctx, name, e) })
				return a, nil
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		work.Go(func() { n.Run(ctx) })
	}
	for range count {
		<-up
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-connect")
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)
	b.ReportMetric(float64(grown)/float64(count)/1024, "KiB/host")
	b.ReportMetric(float64(runtime.NumGoroutine())/float64(count), "goroutines/host")
	began = time.Now()
	const machines = 1000
	for i := range machines {
		id := fmt.Sprintf("machine-%d", i)
		work.Go(func() {
			err := d.Write(ctx, func(tx *db.Tx) error {
				_, err := service.Want(ctx, tx, fmt.Sprintf("host-%05d", i%count), nodeapi.KindMachine, id,
					nodeapi.Machine{ID: id, Running: true, VCPUs: 1, MemoryMB: 64})
				return err
			})
			if err != nil {
				b.Error(err)
			}
		})
	}
	for range machines {
		<-answered
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-1000-machines")
	cancel()
	work.Wait()
}
