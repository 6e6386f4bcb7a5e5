package api_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

var fourK = strings.Repeat("x", 4096)

func BenchmarkPut4K(b *testing.B) {
	s := start(b, b.TempDir())
	s.put(b, box, "")
	b.SetBytes(4096)
	i := 0
	for b.Loop() {
		i++
		s.put(b, fmt.Sprintf("%s/o%08d", box, i), fourK)
	}
}

func BenchmarkPut4KParallel(b *testing.B) {
	s := start(b, b.TempDir())
	s.put(b, box, "")
	b.SetBytes(4096)
	b.SetParallelism(8)
	var i atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.put(b, fmt.Sprintf("%s/o%08d", box, i.Add(1)), fourK)
		}
	})
}

func BenchmarkGet4K(b *testing.B) {
	s := start(b, b.TempDir())
	s.put(b, box, "")
	s.put(b, box+"/o", fourK)
	b.SetBytes(4096)
	for b.Loop() {
		s.call(b, demo, "GET", box+"/o", "").must(b, 200)
	}
}

func BenchmarkList10000(b *testing.B) {
	s := start(b, b.TempDir())
	s.fill(b, 10000)
	for _, query := range []string{"", "?format=json", "?format=json&delimiter=/", "?format=json&prefix=d050/"} {
		b.Run("query="+query, func(b *testing.B) {
			for b.Loop() {
				s.call(b, demo, "GET", box+query, "").must(b, 200)
			}
		})
	}
}
