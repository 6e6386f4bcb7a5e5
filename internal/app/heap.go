package app

import (
	"context"
	"os"
	"runtime"
	"runtime/metrics"
	"time"
)

// The collector runs when as much was allocated as is alive. A ballast is never
// touched and so takes no memory, and counts as alive: a small cloud, of which 20 MB
// are alive, is gone through half as often under load, each time in the way of
// requests, for 24 MB more of what nobody needs any longer. One of which enough is
// alive by itself does without.
const (
	ballast = 24 << 20
	enough  = 36 << 20
)

// carryBallast has a ballast until enough is alive, or the context ends.
func (cloud *Cloud) carryBallast(ctx context.Context) {
	load := make([]byte, ballast)
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for alive[0].Value.Kind() == metrics.KindBad || alive[0].Value.Uint64() < ballast+enough {
		select {
		case <-ctx.Done():
			return
		case <-cloud.Config.Clock.After(time.Second):
		}
		metrics.Read(alive)
	}
	runtime.KeepAlive(load)
}

// fewest is how many threads run at least. On two processors the database's writer
// and the collector would have both for ten milliseconds at a time, before requests
// get one; with more threads than processors the kernel shares these out, more often.
const fewest = 4

// haveThreads has as many threads run, unless the environment says how many.
func haveThreads() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < fewest {
		runtime.GOMAXPROCS(fewest)
	}
}
