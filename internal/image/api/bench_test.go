package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

const benchSize = 64 << 20

func BenchmarkUpload(b *testing.B) {
	s := start(b, b.TempDir())
	data := bytes.Repeat([]byte("nacre123"), benchSize/8)
	b.SetBytes(benchSize)
	for b.Loop() {
		id := s.create(b, demo, fmt.Sprintf(bare, "raw"))
		s.send(b, demo, "PUT", "/v2/images/"+id+"/file", bytes.NewReader(data), octets).must(b, 204)
		b.StopTimer()
		s.call(b, demo, "DELETE", "/v2/images/"+id, "").must(b, 204)
		b.StartTimer()
	}
}

func BenchmarkDownload(b *testing.B) {
	s := start(b, b.TempDir())
	id := s.create(b, demo, fmt.Sprintf(bare, "raw"))
	s.send(b, demo, "PUT", "/v2/images/"+id+"/file", bytes.NewReader(bytes.Repeat([]byte("nacre123"), benchSize/8)), octets).must(b, 204)
	b.SetBytes(benchSize)
	for b.Loop() {
		r, err := http.NewRequest("GET", s.url+"/image/v2/images/"+id+"/file", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", demo)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err != nil || n != benchSize {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkShow(b *testing.B) {
	s := start(b, b.TempDir())
	id := s.create(b, demo, fmt.Sprintf(bare, "raw"))
	for b.Loop() {
		s.call(b, demo, "GET", "/v2/images/"+id, "").must(b, 200)
	}
}
