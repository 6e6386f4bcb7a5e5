package api_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"testing"
)

// BenchmarkValidate asks GET /v3/auth/tokens over HTTP with connections kept
// open, as services and load tests do.
func BenchmarkValidate(b *testing.B) {
	c := start(b)
	token := c.admin(b)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, err := http.NewRequest("GET", c.server.URL+"/v3/auth/tokens?nocatalog", nil)
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("X-Auth-Token", token)
			request.Header.Set("X-Subject-Token", token)
			response, err := client.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != 200 {
				b.Errorf("status %d, %v", response.StatusCode, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "validations/s")
}

// BenchmarkCaller is what each request of every service pays for its token.
func BenchmarkCaller(b *testing.B) {
	c := start(b)
	token := c.admin(b)
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.service.Caller(context.Background(), token)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssue signs in with a generated password.
func BenchmarkIssue(b *testing.B) {
	c := start(b)
	body := password("demo", "Default", c.boot.DemoPassword, onDemo)
	for b.Loop() {
		c.token(b, body)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
