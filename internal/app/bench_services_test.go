package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"nacre/internal/testcloud"
)

// bencher is a cloud without limits for the project of its administrator.
type bencher struct {
	*testcloud.Cloud
	b       *testing.B
	token   string
	project string
}

func newBencher(b *testing.B) bencher {
	wide()
	cloud := testcloud.Start(b, testcloud.Nodes(4))
	admin := cloud.Admin()
	raise(b, admin)
	project := admin.Project(b)
	none := map[string]any{"volumes": -1, "gigabytes": -1, "snapshots": -1}
	admin.Must(b, 200, "PUT", "/volume/v3/os-quota-sets/"+project, map[string]any{"quota_set": none})
	return bencher{cloud, b, admin.Token(), project}
}

// do sends a request and returns the id that is in the object of the answer.
func (s bencher) do(want int, method, path, body string) string {
	var answer map[string]any
	text := ask(s.b, method, s.URL+path, s.token, []byte(body), want)
	if method == "GET" || json.Unmarshal(text, &answer) != nil {
		return ""
	}
	for _, inner := range answer {
		inner, isObject := inner.(map[string]any)
		if isObject {
			answer = inner
		}
	}
	id, _ := answer["id"].(string)
	return id
}

// volume asks for an empty volume.
func (s bencher) volume() string {
	return s.do(202, "POST", "/volume/v3/"+s.project+"/volumes", `{"volume":{"size":1}}`)
}

// each measures what one client does again and again, after a preparation.
func each(b *testing.B, what string, prepare func(bencher) func()) {
	act := prepare(newBencher(b))
	defer measure(b, what)()
	for range b.N {
		act()
	}
}

// From the request until the volume is available, one after the other.
func BenchmarkVolumeReady(b *testing.B) {
	each(b, "volumes", func(s bencher) func() {
		return func() { s.available("volumes/" + s.volume()) }
	})
}

// A snapshot of a volume, until it is available.
func BenchmarkSnapshotReady(b *testing.B) {
	each(b, "snapshots", func(s bencher) func() {
		volume := s.volume()
		s.available("volumes/" + volume)
		return func() {
			s.available("snapshots/" + s.do(202, "POST", "/volume/v3/"+s.project+"/snapshots", `{"snapshot":{"volume_id":"`+volume+`"}}`))
		}
	})
}

// available asks until something of block storage is; asking costs a part of a millisecond.
func (s bencher) available(path string) {
	for start := time.Now(); time.Since(start) < time.Minute; {
		if bytes.Contains(ask(s.b, "GET", s.URL+"/volume/v3/"+s.project+"/"+path, s.token, nil, 200), []byte(`"status":"available"`)) {
			return
		}
	}
	s.b.Fatal(path, "does not become available")
}

// The details of 1,000 volumes in one answer.
func BenchmarkVolumesDetail(b *testing.B) {
	each(b, "lists", func(s bencher) func() {
		for range 1000 {
			s.volume()
		}
		s.Settle(b)
		return func() { s.do(200, "GET", "/volume/v3/"+s.project+"/volumes/detail?limit=1000", "") }
	})
}

// A network with a subnet, and a router that leads there: four calls.
func BenchmarkNetworkWithRouter(b *testing.B) {
	each(b, "networks", func(s bencher) func() {
		return func() {
			network := s.do(201, "POST", "/network/v2.0/networks", `{"network":{}}`)
			subnet := s.do(201, "POST", "/network/v2.0/subnets", `{"subnet":{"network_id":"`+network+`","ip_version":4,"cidr":"10.0.0.0/24"}}`)
			router := s.do(201, "POST", "/network/v2.0/routers", `{"router":{}}`)
			s.do(200, "PUT", "/network/v2.0/routers/"+router+"/add_router_interface", `{"subnet_id":"`+subnet+`"}`)
			s.do(200, "PUT", "/network/v2.0/routers/"+router+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`)
			s.do(204, "DELETE", "/network/v2.0/routers/"+router, "")
			s.do(204, "DELETE", "/network/v2.0/networks/"+network, "")
		}
	})
}

// 1,000 ports in one answer.
func BenchmarkPortsList(b *testing.B) {
	each(b, "lists", func(s bencher) func() {
		network := createNetwork(b, s.Admin(), "10.64.0.0/12")
		for range 1000 {
			s.do(201, "POST", "/network/v2.0/ports", `{"port":{"network_id":"`+network+`"}}`)
		}
		return func() { s.do(200, "GET", "/network/v2.0/ports?limit=1000", "") }
	})
}

// An image of 16 MiB: made, uploaded, hashed twice, on disk.
func BenchmarkImageUpload(b *testing.B) {
	b.SetBytes(16 << 20)
	each(b, "images", func(s bencher) func() {
		content := bytes.Repeat([]byte("nacre123"), 2<<20)
		return func() {
			id := s.do(201, "POST", "/image/v2/images", `{"name":"bench","disk_format":"raw","container_format":"bare"}`)
			s.Admin().Must(b, 204, "PUT", "/image/v2/images/"+id+"/file", content)
		}
	})
}

// An image's document.
func BenchmarkImageShow(b *testing.B) {
	each(b, "shows", func(s bencher) func() {
		path := fmt.Sprint("/image/v2/images/", s.Admin().Image(b, "cirros"))
		return func() { s.do(200, "GET", path, "") }
	})
}
