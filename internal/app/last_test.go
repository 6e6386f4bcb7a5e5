package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"nacre/internal/testcloud"
)

// Many ask at once for the last that there is, of one server and of two on one
// database: exactly as many get it as fit.
func TestLastOfAll(t *testing.T) {
	for name, options := range map[string][]testcloud.Option{
		"one server": nil, "two servers": {testcloud.Servers(2)},
	} {
		t.Run("quota of "+name, func(t *testing.T) {
			t.Parallel()
			lastQuota(t, testcloud.Start(t, options...))
		})
		t.Run("room of "+name, func(t *testing.T) {
			t.Parallel()
			lastRoom(t, testcloud.Start(t, append(options, testcloud.Nodes(2))...))
		})
	}
}

// crush has many servers asked for at once. It returns how often it was answered
// with which status.
func crush(t *testing.T, cloud *testcloud.Cloud, count int) map[int]int {
	t.Helper()
	demo := cloud.Demo()
	body := map[string]any{"server": map[string]any{
		"name": "web", "flavorRef": "1", "imageRef": demo.Image(t, "cirros"), "networks": []any{map[string]any{"uuid": demo.Network(t, "private")}},
	}}
	var mu sync.Mutex // guards got
	got := map[int]int{}
	var asking sync.WaitGroup
	for range count {
		asking.Go(func() {
			reply := demo.Do(t, "POST", "/compute/v2.1/servers", body)
			mu.Lock()
			defer mu.Unlock()
			got[reply.Status]++
		})
	}
	asking.Wait()
	cloud.Settle(t)
	return got
}

// setQuota sets how many servers the users may have.
func setQuota(t *testing.T, cloud *testcloud.Cloud, instances int) {
	cloud.Admin().Must(t, 200, "PUT", "/compute/v2.1/os-quota-sets/"+cloud.Demo().Project(t),
		map[string]any{"quota_set": map[string]any{"instances": instances, "cores": -1, "ram": -1}})
}

const asked, fit = 12, 3

func lastQuota(t *testing.T, cloud *testcloud.Cloud) {
	setQuota(t, cloud, fit)
	got := crush(t, cloud, asked)
	if got[202] != fit || got[403] != asked-fit {
		t.Errorf("got %v, want %d times 202 and %d times 403", got, fit, asked-fit)
	}
	var limits struct {
		Limits struct {
			Absolute struct {
				Used int `json:"totalInstancesUsed"`
			}
		}
	}
	cloud.Demo().Must(t, 200, "GET", "/compute/v2.1/limits", nil).JSON(t, &limits)
	if limits.Limits.Absolute.Used != fit {
		t.Errorf("%d servers are counted, want %d", limits.Limits.Absolute.Used, fit)
	}
}

func lastRoom(t *testing.T, cloud *testcloud.Cloud) {
	setQuota(t, cloud, -1)
	admin := cloud.Admin()
	var found struct {
		Providers []struct{ UUID, Name string } `json:"resource_providers"`
	}
	admin.Must(t, 200, "GET", "/placement/resource_providers", nil).JSON(t, &found)
	for i, p := range found.Providers { // one place on the first, two on the second
		path := "/placement/resource_providers/" + p.UUID + "/inventories/MEMORY_MB"
		var inventory map[string]any
		admin.Must(t, 200, "GET", path, nil).JSON(t, &inventory)
		inventory["reserved"] = inventory["total"].(float64) - float64(i+1)*512
		admin.Must(t, 200, "PUT", path, inventory)
	}
	got := crush(t, cloud, asked)
	if got[202] != asked {
		t.Errorf("got %v, want %d times 202", got, asked)
	}
	var list struct {
		Servers []struct {
			Status string
			Fault  struct{ Message string }
		}
	}
	cloud.Demo().Must(t, 200, "GET", "/compute/v2.1/servers/detail", nil).JSON(t, &list)
	count := map[string]int{}
	for _, s := range list.Servers {
		count[s.Status]++
		if s.Status == "ERROR" && !strings.HasPrefix(s.Fault.Message, "No valid host was found.") {
			t.Errorf("a server failed since %q", s.Fault.Message)
		}
	}
	if want := map[string]int{"ACTIVE": fit, "ERROR": asked - fit}; fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", count, want)
	}
	for i, p := range found.Providers {
		var used struct{ Usages map[string]int }
		admin.Must(t, 200, "GET", "/placement/resource_providers/"+p.UUID+"/usages", nil).JSON(t, &used)
		if used.Usages["MEMORY_MB"] != (i+1)*512 {
			t.Errorf("%s has %d MB in use, want %d", p.Name, used.Usages["MEMORY_MB"], (i+1)*512)
		}
	}
}
