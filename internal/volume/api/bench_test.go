package api_test

import (
	"sync/atomic"
	"testing"
)

// BenchmarkCreateVolume is from the request to the answer, each volume on disk
// before it is answered, with 16 clients.
func BenchmarkCreateVolume(b *testing.B) {
	c := start(b, 4)
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-class-sets/default", `{"quota_class_set":{"volumes":-1,"gigabytes":-1}}`)
	var failed atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if c.do("demo", "POST", base+"/volumes", `{"volume":{"size":1}}`).status != 202 {
				failed.Add(1)
			}
		}
	})
	if failed.Load() > 0 {
		b.Errorf("%d creations failed", failed.Load())
	}
}

// BenchmarkListVolumes lists 1,000 volumes in detail.
func BenchmarkListVolumes(b *testing.B) {
	c := start(b, 4)
	c.must(200, "admin", "PUT", "/volume/v3/os-quota-class-sets/default", `{"quota_class_set":{"volumes":-1,"gigabytes":-1}}`)
	for range 1000 {
		c.must(202, "demo", "POST", base+"/volumes", `{"volume":{"size":1}}`)
	}
	b.ResetTimer()
	for range b.N {
		c.must(200, "demo", "GET", base+"/volumes/detail", "")
	}
}
