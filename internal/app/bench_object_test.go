package app_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"nacre/internal/testcloud"
)

// objectStage makes a container and gives its URL and a token.
func objectStage(b *testing.B) (url, token string) {
	cloud := testcloud.Start(b)
	demo := cloud.Demo()
	path := "/v1/AUTH_" + demo.Project(b) + "/bench"
	demo.Must(b, 201, "PUT", path, nil)
	return cloud.URL + path, demo.Token()
}

// Objects of 4 KiB, each on disk with its row before the answer.
func BenchmarkObjectPut(b *testing.B) {
	wide()
	url, token := objectStage(b)
	body := bytes.Repeat([]byte("x"), 4096)
	var n atomic.Int64
	defer measure(b, "objects")()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ask(b, "PUT", fmt.Sprintf("%s/o%09d", url, n.Add(1)), token, body, 201)
		}
	})
}

// An object of 1 MiB, read whole.
func BenchmarkObjectGet(b *testing.B) {
	wide()
	url, token := objectStage(b)
	ask(b, "PUT", url+"/o", token, bytes.Repeat([]byte("x"), 1<<20), 201)
	b.SetBytes(1 << 20)
	defer measure(b, "objects")()
	for range b.N {
		ask(b, "GET", url+"/o", token, nil, 200)
	}
}
